# Sessions of people and admins: no change with a cookie alone, a new one at each login, the same on every worker and after
# a restart, and what ends them.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA qw(sha256);
use Test::More;
use Verstak::Contract;
use Verstak::People;
use Verstak::Server;
use Verstak::Wait qw(wait_until);

my $server = Verstak::Server->new(config => { 'server.workers' => 4, 'retention.interval' => '1h' });
my $people = Verstak::People->new($server);
my $binary = Verstak::Server::binary();
my @rows   = map { [ split ' ' ] } split /\n/, qx{$binary --routes};
my %kind   = (
    user => {
        cookie => 'user_session',
        table  => 'user_sessions',
        look   => '/api/v1/user/me',
        login  => sub ($person, %option) { $people->login_response($person, %option) },
    },
    admin => {
        cookie => 'admin_session',
        table  => 'admin_sessions',
        look   => '/admin/api/session',
        login  => sub ($person, %option) {
            $server->request(
                POST => '/admin/login',
                form => { username => $Verstak::Server::ADMIN, password => $Verstak::Server::ADMIN_PASSWORD },
                %option
            );
        },
    },
);

# A session by its cookie: options of a request.
sub login ($kind, $person = undef, %option) {
    my $response = $kind{$kind}{login}->($person, %option);
    my $data     = $server->expect_ok($response, "login as $kind");
    my $token    = $response->cookie($kind{$kind}{cookie});
    return { cookie => "$kind{$kind}{cookie}=$token", csrf => $data->{csrf_token}, token => $token };
}

# What a browser sends of it.
sub browser ($session) { return (cookie => $session->{cookie}, csrf => $session->{csrf}) }

sub look ($kind, $session) {
    return $server->request(GET => $kind{$kind}{look}, cookie => $session->{cookie});
}

# Everything in the database, in short.
sub state_of_all () {
    my $dbh = $people->dbh;
    return join "\n", map {
        my $table = $_->[0];
        "$table " . $people->value("SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM $table t");
        }
        grep { $_->[0] !~ /lease/ }
        @{ $dbh->selectall_arrayref(q{SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename}) };
}

# What makes each changing route succeed, given its owner: (what stands for {}, body).
my %ask = (
    '/api/v1/user/devices/{}/revoke' => sub ($person) {
        ($server->pair_device($person->{username}, $person->{password})->{device_id}, { password => $person->{password} });
    },
    '/api/v1/user/password' =>
        sub ($person) { (undef, { password => $person->{password}, new_password => $person->{password} }) },
    '/api/v1/user/email' => sub ($person) {
        (undef, { password => $person->{password}, email => "new-$person->{email}" });
    },
    '/api/v1/user/delete'     => sub ($person) { (undef, { password => $person->{password} }) },
    '/admin/api/users/create' => sub ($person) {
        (undef, { username => "by-$person->{username}", email => "by-$person->{email}", password => 'long enough' });
    },
    '/admin/api/users/{}/edit' =>
        sub ($person) { ($person->{id}, { username => "x$person->{username}", email => "x$person->{email}" }) },
    '/admin/api/keys/{}' => sub ($person) {
        ($server->pair_device($person->{username}, $person->{password})->{device_id}, undef);
    },
    '/admin/api/outbox/{}/retry' => sub ($person) {
        $people->post('/api/v1/auth/forgot', { email => $person->{email} });
        my $id = $people->mail(reset => $person->{email})->{id};
        $people->dbh->do(q{UPDATE email_outbox SET state = 'failed', finished_at = now() WHERE id = ?}, undef, $id);
        ($id, undef);
    },
    '/admin/api/settings' => sub ($person) { (undef, { registration => 'closed', server_name => 'Another' }) },
    # Without a host, or the mailer begins.
    '/admin/api/smtp'     => sub ($person) { (undef, { smtp_port => '2525', smtp_from => 'a@example.org' }) },
    '/admin/api/smtp/test' => sub ($person) { (undef, { smtp_host => '127.0.0.1', smtp_port => '1', smtp_security => 'none', smtp_from => 'a@example.org', test_to => 'b@example.org' }) },
);

for my $row (grep { $_->[2] =~ /\A(?:user|admin)\z/ && $_->[0] ne 'GET' } @rows) {
    my ($method, $route, $kind) = @$row;
    subtest "CSRF: $method $route" => sub {
        my $person = $people->sign_up;
        my ($argument, $body) = $ask{$route} ? $ask{$route}->($person) : ($person->{id}, undef);
        my $path    = $route =~ s/\{\}/$argument/r;
        my $session = login($kind, $person);
        my %other   = (
            "another session's"          => login($kind,   $person)->{csrf},
            "another user's"             => login('user',  $people->sign_up)->{csrf},
            "an admin's"                 => login('admin')->{csrf},
            'one of 64 digits'           => 'ab' x 32,
            'the right one cut short'    => substr($session->{csrf}, 1),
            'the right one in capitals'  => uc $session->{csrf},
            'an empty one'               => '',
            'the session itself'         => $session->{token},
        );
        my $ask    = sub (%option) { $server->request($method => $path, defined $body ? (json => $body) : (), %option) };
        my %cookie = (cookie => $session->{cookie});
        my $before = state_of_all();
        is_error($ask->(%cookie), 403, 'csrf_invalid', 'no token');
        is_error($ask->(%cookie, csrf => $other{$_}), 403, 'csrf_invalid', $_) for sort keys %other;
        is_error($ask->(%cookie, csrf => "$other{'an empty one'}x", headers => [ 'X-CSRF-Token' => $session->{csrf} ]),
            403, 'csrf_invalid', 'two headers');
        is_error($server->request($method => "$path?csrf_token=$session->{csrf}", %cookie, json => $body // {}),
            403, 'csrf_invalid', 'the right one in the URL');
        is_error($server->request($method => $path, %cookie, form => { %{ $body // {} }, csrf_token => $other{"another session's"} }),
            403, 'csrf_invalid', "another session's as a field of a form");
        is_error($server->request($method => $path, %cookie, json => { %{ $body // {} }, csrf_token => $session->{csrf} }, type => 'text/plain'),
            403, 'csrf_invalid', 'the right one in JSON, which another site could send as text');
        is_error($ask->(%cookie, headers => [ Authorization => 'Bearer ' ]), 403, 'csrf_invalid', 'an empty bearer token makes no difference');
        is state_of_all(), $before, 'nothing has changed';
        my $right = $ask->(browser($session));
        is_status($right, 200, 'with the right one it does as it is told');
        isnt state_of_all(), $before, 'and something has changed' if $route !~ m{/test\z};
        $people->dbh->do(q{DELETE FROM settings}) if $route =~ /settings|smtp/;
    };
}

subtest 'a bearer token needs no CSRF token' => sub {
    my $person  = $people->sign_up;
    my $session = login(user => $person);
    my $ask     = sub ($path, %option) { $server->request(POST => $path, %option) };
    is_json_answer($ask->('/api/v1/user/password', token => $session->{token}, json => { password => $person->{password}, new_password => $person->{password} }), 'bearer');
    is_json_answer($ask->('/api/v1/user/logout', token => $session->{token}, cookie => 'user_session=' . 'a' x 64), 'bearer beside a cookie');
    is_error(look(user => $session), 401, 'unauthorized', 'it has ended');
    $session = login(user => $person);
    is_json_answer($ask->('/api/v1/user/logout', cookie => $session->{cookie}, form => { csrf_token => $session->{csrf} }),
        "a cookie with its CSRF token as a form's field");
};

subtest 'a new session at each login' => sub {
    for my $kind (sort keys %kind) {
        my $person = $people->sign_up;
        my ($other, $first) = (login($kind, $person), login($kind, $person));
        my $second = login($kind, $person, cookie => "a=b; $first->{cookie}");
        isnt $second->{token}, $first->{token}, "$kind: another token";
        isnt $second->{csrf},  $first->{csrf},  "$kind: another CSRF token";
        is_error(look($kind, $first), 401, 'unauthorized', "$kind: the session that came with the login has ended");
        is_json_answer(look($kind, $_), "$kind: the others go on") for $other, $second;
        my $refused = $kind eq 'user'
            ? $people->login_response({ %$person, password => 'wrong password' }, cookie => $second->{cookie})
            : $server->request(POST => '/admin/login', form => { username => 'root', password => 'wrong' }, cookie => $second->{cookie});
        is_status($refused, 401, "$kind: a login that is refused");
        is_json_answer(look($kind, $second), "$kind: ends nothing");
        is_json_answer(look($kind, login($kind, $person, cookie => "$kind{$kind}{cookie}=$_")), "$kind: cookie '$_' is no obstacle")
            for '', 'x', 'a' x 64, 'x' x 3000;
        is_error($kind{$kind}{login}->($person, headers => [ 'Sec-Fetch-Site' => 'cross-site' ]), 403, 'csrf_invalid', "$kind: not from another site");
    }
    my ($thief, $victim) = ($people->sign_up, $people->sign_up);
    my $planted = login(user => $thief);
    my $own     = login(user => $victim, cookie => $planted->{cookie});
    is look(user => $own)->json->{username}, $victim->{username}, 'with a planted cookie the login is the victim\'s own';
    is_error(look(user => $planted), 401, 'unauthorized', 'and the planted session has ended');
};

subtest 'every worker, and after a restart' => sub {
    my $person = $people->sign_up;
    my %session = map { $_ => login($_, $person) } keys %kind;
    my $all = sub ($kind) {
        my @connection = map { $server->connect } 1 .. 24;
        $_->send_request(GET => $kind{$kind}{look}, cookie => $session{$kind}{cookie}) for @connection;
        my %status;
        $status{ $_->response->status }++ for @connection;
        return \%status;
    };
    my $mark = $server->log_mark;
    is_deeply $all->($_), { 200 => 24 }, "$_: good on 24 connections" for sort keys %kind;
    ok wait_until(10, sub {
            my %worker = map { $_ => 1 } substr(Verstak::Processes::slurp($server->log_file), $mark) =~ /worker \d+\[(\d+)\]: request/g;
            keys %worker > 1;
        }), 'which several workers answered';
    delete $people->{dbh};
    my $admin = delete $server->{admin};
    $server->restart;
    is_deeply $all->($_), { 200 => 24 }, "$_: good after a restart" for sort keys %kind;
    is_json_answer($server->request(POST => '/api/v1/user/email', browser($session{user}), json => { password => $person->{password}, email => 'after@example.org' }),
        'the CSRF token, too');
    $server->signal('HUP');
    ok $server->log_like(qr/generation 2/, timeout => 30), 'the configuration is read again' or return;
    is_deeply $all->($_), { 200 => 24 }, "$_: good meanwhile and after" for sort keys %kind;
    is_json_answer($server->request(POST => $_->[1], browser($session{ $_->[0] })), "$_->[0]: logout") for [ user => '/api/v1/user/logout' ], [ admin => '/admin/logout' ];
    is_deeply $all->($_), { 401 => 24 }, "$_: ended for every worker" for sort keys %kind;
};

subtest 'what ends the sessions of a user' => sub {
    my %end = (
        'another password' => sub ($person, $session) {
            $server->request(POST => '/api/v1/user/password', browser(login(user => $person)),
                json => { password => $person->{password}, new_password => $person->{password} });
        },
        'a reset' => sub ($person, $session) {
            $people->post('/api/v1/auth/forgot', { email => $person->{email} });
            $people->post('/api/v1/auth/reset', { token => $people->secret(reset => $person->{email}), new_password => $person->{password} });
        },
        'blocking'              => sub ($person, $session) { $server->admin(POST => "/admin/api/users/$person->{id}/block") },
        "an admin's new password" => sub ($person, $session) { $server->admin(POST => "/admin/api/users/$person->{id}/reset-password") },
        "an admin's deletion"   => sub ($person, $session) { $server->admin(DELETE => "/admin/api/users/$person->{id}") },
        'logging out everywhere' => sub ($person, $session) { $server->request(POST => '/api/v1/user/logout-all', token => login(user => $person)->{token}) },
    );
    for my $what (sort keys %end) {
        my $person   = $people->sign_up;
        my $stranger = login(user => $people->sign_up);
        my @session  = map { login(user => $person) } 1 .. 2;
        is_json_answer(look(user => $_), "$what: good before") for @session;
        is_status($end{$what}->($person, $session[0]), 200, $what);
        is_error(look(user => $_), 401, 'unauthorized', "$what: ended") for @session;
        is_error($server->request(POST => '/api/v1/user/logout', browser($session[0])), 401, 'unauthorized', "$what: for changes, too");
        is_json_answer(look(user => $stranger), "$what: another user's goes on");
        next if $what ne 'blocking';
        is_error($people->login_response($person), 403, 'forbidden', 'blocked: no new one', 'account blocked');
        $server->admin(POST => "/admin/api/users/$person->{id}/block");
        is_error(look(user => $session[0]), 401, 'unauthorized', 'unblocking does not bring it back');
        is_json_answer($people->login_response($person), 'but a login does');
    }
    my $person  = $people->sign_up;
    my $session = login(user => $person);
    $people->dbh->do('UPDATE users SET blocked_at = now() WHERE id = ?', undef, $person->{id});
    is_error(look(user => $session), 403, 'forbidden', 'a session of a blocked user is worth nothing, even if there were one', 'account blocked');
};

subtest 'they end with their 24 hours' => sub {
    for my $kind (sort keys %kind) {
        my $person  = $people->sign_up;
        my $session = login($kind, $person);
        my $age     = sub ($interval) {
            my $statement = $people->dbh->prepare("UPDATE $kind{$kind}{table} SET expires_at = expires_at - '$interval'::interval WHERE token_hash = ?");
            $statement->bind_param(1, sha256($session->{token}), { pg_type => DBD::Pg::PG_BYTEA() });
            $statement->execute == 1 or die "no such session\n";
        };
        $age->('23 hours 59 minutes');
        is_json_answer(look($kind, $session), "$kind: good for nearly 24 hours");
        $age->('1 minute');
        is_error(look($kind, $session), 401, 'unauthorized', "$kind: then not");
        is_error($server->request(POST => $kind eq 'user' ? '/api/v1/user/logout' : '/admin/logout', browser($session)), 401, 'unauthorized', "$kind: nor for changes");
    }
    $server->write_config('retention.interval' => '200ms');
    $server->signal('HUP');
    ok wait_until(30, sub { !$people->value('SELECT count(*) FROM user_sessions WHERE expires_at <= now()') }), 'the janitor removes what is left of them';
};

done_testing;
