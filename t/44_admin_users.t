# What an admin does to users, their devices and the mails to them.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Verstak::Contract;
use Verstak::Server;

my $server   = Verstak::Server->new;
my $dbh      = $server->dbh;
my $PASSWORD = $Verstak::Server::PASSWORD;
my @ODD_ID   = (999_999_999, 'x', '-1', '0', '1%20OR%201=1', '9' x 30, '1%00', '1.0', '%27', '%F0%9F%92%BE');

# (name, id) of a new user.
sub new_user () {
    my ($name) = $server->create_user;
    return ($name, $server->{user_id}{$name});
}

sub user ($filter) {
    return $server->admin(GET => "/admin/api/users?filter=$filter")->json->{users}[0];
}

sub works ($name, $password) {
    my $response = $server->request(POST => '/api/auth/test', json => { username => $name, password => $password });
    return $response->status == 200;
}

# The newest audit row of an action.
sub audit ($action) {
    return $dbh->selectrow_hashref('SELECT * FROM audit_log WHERE action = ? ORDER BY id DESC LIMIT 1', undef, $action);
}

sub is_audited ($action, $subject) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $row = audit($action) // {};
    is_deeply [ @$row{qw(actor subject address)} ], [ "admin:$Verstak::Server::ADMIN", $subject, '127.0.0.1' ],
        "the audit log has $action";
    return $row;
}

subtest 'edit' => sub {
    my ($name, $id) = new_user();
    my ($other) = new_user();
    my %now     = (username => $name, email => "$name\@example.org");
    my $edit    = sub (%field) {
        return $server->admin(POST => "/admin/api/users/$id/edit", json => { %now, %field });
    };
    is_deeply is_json_answer($edit->(), 'nothing new'), { status => 'ok' }, 'status';
    is_json_answer($edit->(username => 'Жанна', email => 'janna@example.org'), 'another name and address');
    my $user = user('janna@example.org');
    is_deeply [ @$user{qw(id username email confirmed)} ], [ $id, 'Жанна', 'janna@example.org', 1 ], 'listed so';
    is_audited('user.edit', "user:$name");
    ok works('жанна',             $PASSWORD), 'the user logs in by the new name';
    ok works('Janna@Example.org', $PASSWORD), 'by the new address';
    ok !works($name,              $PASSWORD), 'and not by the old name';
    %now = (username => 'Жанна', email => 'janna@example.org');
    is_json_answer($edit->(username => 'ЖАННА', email => 'Janna@example.org'), 'the same in capitals');
    is user('janna@')->{username}, 'ЖАННА', '  is what it is called now';
    is_json_answer(
        $server->admin(POST => "/admin/api/users/$id/edit", form => { username => $name, email => 'form@example.org' }),
        'a form'
    );
    is_error($edit->(username => uc $other),                409, 'conflict', q{another's name});
    is_error($edit->(email    => uc "$other\@example.org"), 409, 'conflict', q{another's address});
    is_error($edit->($_       => undef),  400, 'invalid_request', "no $_")        for qw(username email);
    is_error($edit->($_       => 5),      400, 'invalid_request', "$_ as number") for qw(username email);
    is_error($edit->($_       => "a\0b"), 400, 'invalid_request', "U+0000 in $_") for qw(username email);
    is_error($edit->(email    => $_),     400, 'invalid_request', "address '" . s/\n/\\n/r . "'")
        for 'x', '@', 'a@', '@b', 'a b@example.org', 'a@b@c', "a\@example.org\nBcc: x\@y", 'x' x 250 . '@example.org';
    is_error($edit->(username => $_), 400, 'invalid_request', "name '" . substr(s/[\n\t]/\\n/r, 0, 20) . "'")
        for '', '  ', 'a@b', "a\nb", "\t", 'x' x 65;
    is_deeply [ @{ user('form@example.org') }{qw(id username)} ], [ $id, $name ], 'nothing of these changed anything';
    is_error(
        $server->admin(POST => "/admin/api/users/$_/edit", json => { username => 'nobody', email => 'n@example.org' }),
        404, 'not_found', "user $_"
    ) for @ODD_ID;
    is_json_answer($edit->(username => $name, email => ''), 'no address');
    is user($name)->{email}, '', '  is none';
    ok works($name, $PASSWORD), 'the password is the same all the time';
};

subtest 'reset-password' => sub {
    my ($name, $id) = new_user();
    my $token = $server->pair($name, $PASSWORD);
    $dbh->do(
q{INSERT INTO user_sessions (user_id, token_hash, address, expires_at) VALUES (?, sha256('x'), '', now() + interval '1 day')},
        undef, $id
    );
    my $reset    = sub ($of = $id) { $server->admin(POST => "/admin/api/users/$of/reset-password") };
    my $response = $reset->();
    my $answer   = is_json_answer($response, 'reset');
    is_deeply [ sort keys %$answer ], [qw(new_password status)], 'its fields';
    my $first = $answer->{new_password};
    like $first, qr/\A[a-km-np-z2-9]{20}\z/, '20 characters that nobody mistakes';
    is $response->header('Cache-Control'), 'no-store', 'and no cache keeps it';
    ok works($name,  $first),    'it works';
    ok !works($name, $PASSWORD), 'the old one does not';
    my $second = $reset->()->json->{new_password};
    isnt $second, $first, 'the next one is another';
    ok works($name,  $second), 'and works';
    ok !works($name, $first),  'instead of the first';
    is $dbh->selectrow_array('SELECT count(*) FROM user_sessions WHERE user_id = ?', undef, $id), 0,
        'the sessions ended';
    is_json_answer($server->request(GET => '/api/client/me', token => $token), 'the device goes on working');
    is_audited('user.password', "user:$name");
    is_error($reset->($_), 404, 'not_found', "user $_") for @ODD_ID;
    my $dump = join "\n",
        map { @$_ }
        map { @{ $dbh->selectall_arrayref("SELECT t::text FROM $_ t") } } qw(users audit_log email_outbox settings);
    unlike $dump,             qr/$first|$second/, 'no password is in the database';
    unlike $server->log_text, qr/$first|$second/, 'nor in the log';
    my %seen;
    $seen{$_}++ for map { split // } map { $reset->()->json->{new_password} } 1 .. 60;
    is scalar keys %seen, 32, 'every character of the alphabet comes up';
    cmp_ok((sort { $b <=> $a } values %seen)[0], '<', 4 * 1200 / 32, 'and none much too often');
};

subtest 'delete' => sub {
    my ($name, $id) = new_user();
    my ($other) = new_user();
    my ($gone, $stays) = map { $server->pair($_, $PASSWORD) } $name, $other;
    $server->push($_, Verstak::Server::op()) for $gone, $stays;
    my $blob   = $server->upload($gone, 'bytes of the one who goes');
    my $delete = sub ($of) { $server->admin(DELETE => "/admin/api/users/$of") };
    is_deeply is_json_answer($delete->($id), 'delete'), { status => 'deleted' }, 'status';
    is_audited('user.delete', "user:$name");
    is_error($server->request(GET => '/api/client/me', token => $gone), 401, 'unauthorized', 'the device is nobody\'s');
    is user($name), undef, 'the user is not listed any more';
    is $dbh->selectrow_array('SELECT count(*) FROM vaults WHERE user_id = ?', undef, $id), 0, 'the vaults are gone';
    ok !works($name, $PASSWORD), 'the password is good for nothing';
    is scalar $server->pull_all($stays), 1, q{another's operations stay};
    is_error($delete->($_), 404, 'not_found', "user $_") for $id, @ODD_ID;
    is_error($server->request(DELETE => '/admin/api/users/create'), 405, 'method_not_allowed', '"create" is no id');
    $server->create_user($name);
    ok works($name, $PASSWORD), 'the name is free again';
};

subtest 'devices' => sub {
    my $fresh = Verstak::Server->new(config => { 'server.workers' => 1 });
    my $list  = sub ($query = '') { is_json_answer($fresh->admin(GET => "/admin/api/devices$query"), "devices$query") };
    is_deeply $list->(), [], 'none yet';
    my ($name, $password) = $fresh->create_user;
    my %device = map { $_ => $fresh->pair_device($name, $password, device_name => $_, client_version => "v-$_") } 'one',
        'Жанна "2"', 'three';
    $fresh->pull($device{one}{device_token});
    $fresh->request(POST => '/api/client/revoke-current', token => $device{three}{device_token});
    my @list = @{ $list->() };
    is_deeply [ map { $_->{name} } @list ], [ 'one', 'Жанна "2"', 'three' ], 'all, the oldest first';
    my $time = qr/\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\z/a;

    for my $row (@list) {
        my $row_name = $row->{name};
        is_deeply [ sort keys %$row ], [qw(client_version created_at id last_seen name revoked_at user)],
            "$row_name: fields";
        is_deeply [ @$row{qw(id client_version user)} ], [ $device{$row_name}{device_id}, "v-$row_name", $name ],
            '  values';
        like $row->{created_at}, $time, '  created_at';
    }
    like $list[0]{last_seen}, $time, 'seen';
    is $list[1]{last_seen},  '', 'never seen';
    is $list[1]{revoked_at}, '', 'not revoked';
    like $list[2]{revoked_at},                               $time,                          'revoked';
    unlike $fresh->admin(GET => '/admin/api/devices')->body, qr/$device{one}{device_token}/, 'no token';

    $fresh->dbh->do(<<~'SQL');
        INSERT INTO devices (public_id, user_id, vault_id, token_hash, token_first, token_last, name, client_version)
        SELECT 'dev_' || lpad(to_hex(i), 24, '0'), user_id, vault_id, sha256(i::text::bytea), lpad(to_hex(i), 8, '0'),
               lpad(to_hex(i % 65536), 4, '0'), 'many ' || i, ''
        FROM devices, generate_series(1, 12340) AS i WHERE name = 'one'
        SQL
    for my $case ([ devices => 12_343 ], [ keys => 12_342 ]) {
        my ($what, $total) = @$case;
        my $read = sub ($path) {    # ids by a pattern: decoding as many takes the test a minute
            my $response = $fresh->admin(GET => $path);
            my ($next) = ($response->header('Link') // '') =~ /\A<([^>]+)>; rel="next"\z/;
            is_status($response, 200, $path);
            return ([ $response->body =~ /\{"id":"(dev_[0-9a-f]{24})"/g ], $next);
        };
        my ($first, $next) = $read->("/admin/api/$what");
        is scalar @$first, 10_000, "$what: 10,000 in one answer";
        ok $next, '  and a link to the rest' or next;
        my ($rest, $end) = $read->($next);
        is scalar @$rest, $total - 10_000, '  which are the rest';
        is $end,          undef,           '  and the last';
        my %seen = map { $_ => 1 } @$first, @$rest;
        is scalar keys %seen, $total, '  each came once';

        for my $limit (1, 999, 1000, 1001, 5000) {
            my ($page, $more) = $read->("/admin/api/$what?limit=$limit");
            is_deeply $page, [ @$first[ 0 .. $limit - 1 ] ], "  limit $limit";
            my ($following) = $read->($more);
            is_deeply $following, [ @$first[ $limit .. 2 * $limit - 1 ] ], '  the next page';
        }
        my ($exact, $none) = $read->($next =~ s/limit=\d+/'limit=' . ($total - 10_000)/er);
        is scalar @$exact, $total - 10_000, '  a limit of just as many';
        is $none,          undef,           '  has no next page';
        for my $query (
            'limit=0', 'limit=x',  'limit=-1',  'limit=99999999999999999999',
            'after=x', 'after=-1', 'limit=%00', 'after=%ff'
            )
        {
            my ($all) = $read->("/admin/api/$what?$query");
            is scalar @$all, 10_000, "  $query makes no difference";
        }
        is_deeply [ $read->("/admin/api/$what?after=9223372036854775807") ],  [ [], undef ], '  after the last';
        is_deeply [ $read->("/admin/api/$what?after=99999999999999999999") ], [ [], undef ], '  and far beyond';
    }
};

subtest 'keys' => sub {
    my ($name) = new_user();
    my @device = map { $server->pair_device($name, $PASSWORD, device_name => "key $_") } 1 .. 2;
    my $keys   = sub () { is_json_answer($server->admin(GET => '/admin/api/keys'), 'keys') };
    my ($key)  = grep { $_->{id} eq $device[0]{device_id} } @{ $keys->() };
    my $token  = $device[0]{device_token};
    is_deeply $key,
        {
        id         => $device[0]{device_id},
        name       => 'key 1',
        token_hint => substr($token, 0, 8) . '...' . substr $token,
        -4
        },
        'a key shows its ends';
    unlike $server->admin(GET => '/admin/api/keys')->body, qr/$token/, 'never the token';
    my $delete = sub ($id) { $server->admin(DELETE => "/admin/api/keys/$id") };
    is_deeply is_json_answer($delete->($device[0]{device_id}), 'delete'), { status => 'deleted' }, 'status';
    is_error(
        $server->request(GET => '/api/client/me', token => $token),
        401, 'unauthorized',
        'the device is revoked',
        'device revoked'
    );
    is_json_answer($server->request(GET => '/api/client/me', token => $device[1]{device_token}), 'the other device');
    is_deeply [ grep { $_->{id} eq $device[0]{device_id} } @{ $keys->() } ], [], 'the key is not listed any more';
    is audit('device.revoke')->{actor}, "admin:$Verstak::Server::ADMIN", 'the audit log says who it was';
    is_error($delete->($_), 404, 'not_found', "device '" . substr($_, 0, 20) . q{'})
        for 'dev_' . '0' x 24, 'x', '1', '%27', 'dev_%00', '%ff', 'x' x 3000;
};

# Puts a mail into the outbox, with the token that it carries, and returns its id.
sub mail ($user_id, $to, $secret) {
    return $dbh->selectrow_array(
        q{WITH token AS (
              INSERT INTO email_tokens (token_hash, purpose, user_id, email, expires_at)
              VALUES (sha256(convert_to($2, 'UTF8')), 'confirm', $1, $2, now() + interval '48 hours') RETURNING *)
          INSERT INTO email_outbox (template, user_id, recipient, locale, token_hash, secret, detail, expires_at)
          SELECT purpose, user_id, email, 'en', token_hash, $3, '', expires_at FROM token RETURNING id},
        undef, $user_id, $to, $secret
    );
}

my %STATE = (
    sent =>
q{state = 'sent', tries = 1, finished_at = now(), secret = NULL, detail = NULL, last_answer = '250 2.0.0 taken'},
    failed   => q{state = 'failed', tries = 3, finished_at = now(), last_answer = '550 5.1.1 no such user "ж"'},
    retrying =>
        q{state = 'retrying', tries = 1, due_at = now() + interval '5 minutes', last_answer = '451 4.3.0 later'},
    sending => q{state = 'sending', tries = 1, lease_holder = 'elsewhere', due_at = now() + interval '5 minutes'},
    expired =>
q{state = 'failed', finished_at = now(), secret = NULL, detail = NULL, last_answer = 'expired before it could be sent'},
);

subtest 'outbox' => sub {
    $dbh->do('DELETE FROM email_outbox');
    my $list  = sub ($query = '') { is_json_answer($server->admin(GET => "/admin/api/outbox$query"), "outbox$query") };
    my $empty = { mails => [], total => 0, page => 1, per_page => 20 };
    my $stats =
        sub () { my $s = $server->admin(GET => '/admin/api/stats')->json; [ @$s{qw(mails_waiting mails_failed)} ] };
    is_deeply $list->(),  $empty,   'empty';
    is_deeply $stats->(), [ 0, 0 ], 'and the stats say so';
    my ($name, $user_id) = new_user();
    my $secret = 'c0ffee' . 'a' x 58;
    my %id     = map { $_ => mail($user_id, "$_\@example.org", $secret) } 'queued', sort keys %STATE;
    $dbh->do("UPDATE email_outbox SET $STATE{$_} WHERE id = ?", undef, $id{$_}) for sort keys %STATE;
    my %row = map { $_->{recipient} =~ s/\@.*//r => $_ } @{ $list->()->{mails} };
    is_deeply [ sort keys %row ], [ sort 'queued', keys %STATE ], 'all are listed';
    has_types(
        $row{failed},
        {
            (map { $_ => 'number' } qw(id tries)),
            (map { $_ => 'string' } qw(template recipient user state created_at next_try_at finished_at last_answer)),
            resendable => 'boolean'
        },
        'the fields of one'
    );
    is_deeply [ @{ $row{failed} }{qw(id template user state tries last_answer)} ],
        [ $id{failed}, 'confirm', $name, 'failed', 3, '550 5.1.1 no such user "ж"' ], 'their values';
    is $row{failed}{next_try_at}, '', 'no next try of what has failed';
    like $row{failed}{finished_at},   qr/Z\z/, 'but an end';
    like $row{retrying}{next_try_at}, qr/Z\z/, 'a next try of what waits for it';
    is $row{retrying}{finished_at}, '', 'and no end';
    is join(' ', map { $_ . '=' . ($row{$_}{resendable} ? 1 : 0) } sort keys %row),
        'expired=0 failed=1 queued=1 retrying=1 sending=0 sent=0', 'what can be sent again';
    is_deeply [ map { $_->{id} } @{ $list->()->{mails} } ], [ sort { $b <=> $a } values %id ], 'the newest first';
    is_deeply $stats->(),                                   [ 3, 2 ],                          'the stats count them';

    for my $state (qw(queued sending sent retrying failed)) {
        my $answer = $list->("?state=$state");
        is_deeply [ sort map { $_->{recipient} } @{ $answer->{mails} } ],
            [ map { "$_\@example.org" } $state eq 'failed' ? qw(expired failed) : $state ], "state $state";
        is $answer->{total}, $state eq 'failed' ? 2 : 1, '  and how many there are';
    }
    my $page = $list->('?page=2&per_page=4');
    is_deeply [ scalar @{ $page->{mails} }, @$page{qw(total page per_page)} ], [ 2, 6, 2, 4 ], 'pages';
    is_deeply $list->('?page=9'), { %$empty, total => 6, page => 9 }, 'beyond the end';
    is_deeply [ @{ $list->("?$_") }{qw(page per_page)} ], [ 1, 20 ], "$_ counts as absent"
        for 'page=x', 'page=0', 'page=-1', 'per_page=x', 'per_page=0', 'page=&per_page=';
    is $list->('?per_page=101')->{per_page}, 100, 'per_page ends at 100';
    is_deeply $list->('?page=99999999999999999999')->{mails}, [], 'a page far beyond';
    is_error($server->admin(GET => "/admin/api/outbox?state=$_"), 400, 'invalid_request', "state '$_'")
        for 'x', 'SENT', '%27', 'queued%20', 'queued,sent';
    is_deeply $list->("?state=$_")->{total}, 6, "state '$_' is none" for '', '%00', '%ff';
    unlike $server->admin(GET => '/admin/api/outbox')->body, qr/c0ffee/, 'no secret is shown';

    my $retry = sub ($id) { $server->admin(POST => "/admin/api/outbox/$id/retry") };
    for my $state (qw(failed retrying queued)) {
        is_deeply is_json_answer($retry->($id{$state}), "retry of one $state"), { status => 'ok' }, 'status';
        my ($mail) = grep { $_->{id} == $id{$state} } @{ $list->('?state=queued')->{mails} };
        is_deeply [ @{ $mail // {} }{qw(state tries finished_at)} ], [ 'queued', 0, '' ],
            '  it is queued as if it were new';
        is_audited('mail.retry', "mail:$id{$state}");
    }
    is_error($retry->($id{$_}), 409, 'conflict', "retry of one $_") for qw(sent sending expired);
    is $retry->($id{sent})->json->{error}, 'the text of a sent mail is not kept', '  with the reason';
    is_error($retry->($_), 404, 'not_found', "mail $_") for @ODD_ID;
    is $dbh->selectrow_array(q{SELECT count(*) FROM email_outbox WHERE state = 'queued'}), 3,
        'nothing else was touched';
    unlike join("\n", map { $_->[0] } @{ $dbh->selectall_arrayref('SELECT a::text FROM audit_log a') }), qr/c0ffee/,
        'no secret is in the audit log';
    $dbh->do('DELETE FROM email_outbox');
};

subtest 'nothing without session and CSRF token' => sub {
    my ($name, $id) = new_user();
    my $device = $server->pair_device($name, $PASSWORD);
    my $mail   = mail($id, "$name\@example.org", 'a' x 64);
    my %admin  = $server->admin_login;
    my %other  = do { local $server->{admin}; $server->admin_login };
    my $state  = sub () {
        return join "\n",
            map { $_->[0] }
            map { @{ $dbh->selectall_arrayref("SELECT t::text FROM $_ t ORDER BY 1") } }
            qw(users devices email_outbox settings audit_log);
    };
    my $before = $state->();
    for my $call (
        [ POST   => "/admin/api/users/$id/edit", json => { username => 'taken', email => 'over@example.org' } ],
        [ POST   => "/admin/api/users/$id/reset-password" ],
        [ DELETE => "/admin/api/users/$id" ],
        [ DELETE => "/admin/api/keys/$device->{device_id}" ],
        [ POST   => "/admin/api/outbox/$mail/retry" ],
        [ POST   => '/admin/api/settings', json => { registration => 'closed' } ],
        [ POST   => '/admin/api/smtp',     form => { smtp_host    => 'mail.example.org' } ],
        [
            POST => '/admin/api/smtp/test',
            json => { smtp_host => '127.0.0.1', smtp_from => 'a@example.org', test_to => 'b@example.org' }
        ],
        )
    {
        my ($method, $path, @body) = @$call;
        my $what = "$method " . $path =~ s/$id|$device->{device_id}/{}/r;
        my $ask  = sub (%option) { $server->request($method => $path, @body, %option) };
        is_error($ask->(), 401, 'unauthorized', "$what: no session");
        is_error($ask->(csrf => $admin{csrf}), 401, 'unauthorized', '  a CSRF token alone');
        is_error($ask->(token => $device->{device_token}, csrf => $admin{csrf}),
            401, 'unauthorized', q{  a device's token});
        is_error($ask->(cookie => $admin{cookie}),             403, 'csrf_invalid', '  no CSRF token');
        is_error($ask->(cookie => $admin{cookie}, csrf => $_), 403, 'csrf_invalid', '  a wrong one')
            for '', 'x', 'a' x 64;
        is_error($ask->(cookie => $admin{cookie}, csrf => $other{csrf}), 403, 'csrf_invalid', q{  another session's});
    }
    is_error($server->request(GET => "/admin/api/$_"), 401, 'unauthorized', "GET $_ without session")
        for qw(devices keys smtp settings outbox);
    is $state->(), $before, 'nothing changed';
};

done_testing;
