# The admin side: login, CSRF, users, block, stats.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Test::More;
use Verstak::Contract;
use Verstak::Server;

my $server   = Verstak::Server->new(config => { 'server.trusted_proxies' => ['127.0.0.1'] });
my $ADMIN    = $Verstak::Server::ADMIN;
my $PASSWORD = $Verstak::Server::ADMIN_PASSWORD;
my $time     = qr/\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\z/a;

sub login (%option) {
    return $server->request(POST => '/admin/login', form => { username => $ADMIN, password => $PASSWORD }, %option);
}

subtest 'login by a program' => sub {
    for my $body (
        [ 'a form'           => () ],
        [ 'JSON'             => (form => undef, json => { username => $ADMIN, password => $PASSWORD }) ],
        [ 'a multipart form' => multipart_login() ]
        )
    {
        my ($what, @body) = @$body;
        my $response = login(@body);
        my $answer   = is_json_answer($response, "login with $what");
        is $answer->{status},   'ok',   'status';
        is $answer->{username}, $ADMIN, 'username';
        like $answer->{csrf_token}, qr/\A\S{32,}\z/, 'csrf_token';
        my ($cookie) = grep { /\Aadmin_session=/ } $response->header('Set-Cookie');
        like $cookie,   qr/\Aadmin_session=[0-9a-f]{64};/, 'a session cookie';
        like $cookie,   qr/;\s*Path=\/admin(?:;|\z)/i,     'Path /admin';
        like $cookie,   qr/;\s*HttpOnly(?:;|\z)/i,         'HttpOnly';
        like $cookie,   qr/;\s*SameSite=Lax(?:;|\z)/i,     'SameSite=Lax';
        like $cookie,   qr/;\s*Max-Age=86400(?:;|\z)/i,    '24 hours';
        unlike $cookie, qr/;\s*Secure/i,                   'not Secure over plain HTTP';
    }
};

sub multipart_login () {
    my ($type, $body) = Verstak::HTTP::multipart({ name => 'username', content => $ADMIN },
        { name => 'password', content => $PASSWORD });
    return (form => undef, type => $type, body => $body);
}

subtest 'login by a browser' => sub {
    my $response = login(headers => [ Accept => 'text/html,application/xhtml+xml' ]);
    is_status($response, 303, 'it is sent on');
    is $response->header('Location'), '/admin/dashboard', 'to the dashboard';
    ok $response->cookie('admin_session'), 'with a session';
};

subtest 'Secure behind HTTPS' => sub {
    my $cookie = sub (%option) { (login(%option)->header('Set-Cookie'))[0] };
    like $cookie->(headers => [ 'X-Forwarded-Proto' => 'https' ]), qr/;\s*Secure/i, 'through a trusted proxy';
    unlike $cookie->(headers => [ 'X-Forwarded-Proto' => 'http' ]), qr/;\s*Secure/i, 'not for http';
    unlike $cookie->(headers => [ 'X-Forwarded-Proto' => 'https' ], local => '127.0.0.7'), qr/;\s*Secure/i,
        'not when the peer is not trusted';
};

subtest 'login refused' => sub {
    my $refused = sub (%field) { login(form => { username => $ADMIN, password => $PASSWORD, %field }) };
    my $wrong   = $refused->(password => 'wrong password');
    my $unknown = $refused->(username => 'nobody');
    is_error($wrong,   401, 'unauthorized', 'wrong password');
    is_error($unknown, 401, 'unauthorized', 'unknown name');
    is $wrong->body, $unknown->body, 'one answer for both';
    ok !$_->cookie('admin_session'), 'no session' for $wrong, $unknown;
    is_error($refused->(username => uc $ADMIN), 401, 'unauthorized',    'a name in capitals');
    is_error($refused->(password => ''),        400, 'invalid_request', 'an empty password')
        if $refused->(password => '')->status != 401;
    is_error(login(form => { username => $ADMIN }),    400, 'invalid_request', 'no password');
    is_error(login(form => { password => $PASSWORD }), 400, 'invalid_request', 'no name');
    like login(form => undef)->code, qr/\Ainvalid_(?:request|json)\z/, 'no body';
    my ($user, $password) = $server->create_user;
    is_error($refused->(username => $user, password => $password), 401, 'unauthorized', 'a user is no admin');
};

subtest 'session and CSRF token' => sub {
    my %first  = $server->admin_login;
    my $other  = login();
    my $cookie = 'admin_session=' . $other->cookie('admin_session');
    my $csrf   = $other->json->{csrf_token};
    isnt $cookie, $first{cookie}, 'each login is a session of its own';
    isnt $csrf,   $first{csrf},   'with a token of its own';
    my $number = 0;
    my $create = sub (%option) {
        my $name = 'csrf-' . ++$number;
        $server->request(
            POST => '/admin/api/users/create',
            json => { username => $name, email => "$name\@example.org", password => 'long enough' },
            %option
        );
    };
    is_error($create->(), 401, 'unauthorized', 'no session');
    is_error($create->(csrf   => $csrf),   401, 'unauthorized', 'a CSRF token without session');
    is_error($create->(cookie => $cookie), 403, 'csrf_invalid', 'no CSRF token');
    is_error($create->(cookie => $cookie, csrf => $_), 403, 'csrf_invalid', 'CSRF token ' . substr $_, 0, 20)
        for '', 'x', 'a' x 64, uc $csrf, "$csrf ", "${csrf}0", $first{csrf}, 'x' x 3000;
    is_error($create->(cookie => $cookie, headers => [ Origin => 'https://evil.example' ]),
        403, 'csrf_invalid', 'from elsewhere');
    is_error($create->(cookie => $_, csrf => $csrf), 401, 'unauthorized', "cookie $_")
        for 'admin_session=', 'admin_session=x', 'user_session=' . $other->cookie('admin_session'),
        'Admin_Session=' . $other->cookie('admin_session'), "x$cookie";
    my $session = $other->cookie('admin_session');
    is_error($create->(token => $session, csrf => $csrf), 401, 'unauthorized', 'the session as bearer token');
    is_error($server->request(GET => "/admin/api/stats?admin_session=$session"),
        401, 'unauthorized', 'the session in the URL');
    is_json_answer($create->(cookie  => "a=b; $cookie; c=d", csrf => $csrf), 'both, among other cookies');
    is_json_answer($create->(headers => [ Cookie => 'a=b', Cookie => $cookie, Cookie => 'c' ], csrf => $csrf),
        'in several headers');
    is_json_answer($server->request(GET => '/admin/api/stats', cookie => $cookie), 'GET needs no CSRF token');
    is_error($server->request(GET => '/admin/api/stats', cookie => 'admin_session=' . 'a' x 64),
        401, 'unauthorized', 'a session that never was');
    my $rows = join "\n", map { $_->[0] } @{ $server->dbh->selectall_arrayref('SELECT s::text FROM admin_sessions s') };
    unlike $rows,             qr/\Q$session\E/,                         'the session is stored only as its hash';
    unlike $server->log_text, qr/\Q$session\E|\Q$csrf\E|\Q$PASSWORD\E/, 'and not in the log';
};

subtest 'a login ends the session that came with it' => sub {
    my ($first, $other) = (login(), login());
    my $session = sub ($login) { 'admin_session=' . $login->cookie('admin_session') };
    my $good    = sub ($login) {
        return $server->request(GET => '/admin/api/session', cookie => $session->($login))->status == 200;
    };
    my $second = login(cookie => $session->($first));
    is_json_answer($second, 'a login with the cookie of a session');
    isnt $session->($second), $session->($first), 'makes another session';
    ok $good->($second), 'which is good';
    ok !$good->($first), 'and ends the former one';
    is_error(
        $server->request(
            POST   => '/admin/api/users/1/block',
            cookie => $session->($first),
            csrf   => $first->json->{csrf_token}
        ),
        401,
        'unauthorized',
        'with its CSRF token'
    );
    ok $good->($other), 'no other one';
    is_error(login(form => { username => $ADMIN, password => 'wrong' }, cookie => $session->($second)),
        401, 'unauthorized', 'a refused login');
    ok $good->($second), 'ends none';
    is_json_answer(login(cookie => "admin_session=$_"), "a login with the cookie '" . substr($_, 0, 20) . q{'})
        for '', 'x', 'a' x 64, 'A' x 64, 'a' x 65, 'x' x 3000;
    ok $good->($second), 'still good';
};

subtest q{a page of another site logs nobody in} => sub {
    my $from = sub ($site) { login(headers => [ 'Sec-Fetch-Site' => $site, Accept => 'text/html' ]) };
    my $response = $from->('cross-site');
    is_error($response, 403, 'csrf_invalid', 'cross-site');
    ok !$response->cookie('admin_session'), 'no session';
    is_status($from->($_), 303, $_) for qw(same-origin same-site none);
    is_json_answer($server->admin(GET => '/admin/api/stats', headers => [ 'Sec-Fetch-Site' => 'cross-site' ]),
        'a link from elsewhere with a session');
};

subtest 'a session ends with its 24 hours' => sub {
    my $response = login();
    my $cookie   = 'admin_session=' . $response->cookie('admin_session');
    is_json_answer($server->request(GET => '/admin/api/stats', cookie => $cookie), 'at first it is good');
    require Digest::SHA;
    my $hash      = Digest::SHA::sha256($response->cookie('admin_session'));
    my $statement = $server->dbh->prepare(
        q{UPDATE admin_sessions SET expires_at = now() - interval '1 second' WHERE token_hash = ?});
    $statement->bind_param(1, $hash, { pg_type => DBD::Pg::PG_BYTEA() });
    is $statement->execute, 1, 'expired';
    is_error($server->request(GET => '/admin/api/stats', cookie => $cookie), 401, 'unauthorized', 'then it is not');
    is_error(
        $server->request(POST => '/admin/api/users/1/block', cookie => $cookie, csrf => $response->json->{csrf_token}),
        401, 'unauthorized', 'nor for a change'
    );
};

subtest 'create a user' => sub {
    my $create = sub (%field) {
        $server->admin(
            POST => '/admin/api/users/create',
            json => { username => 'Created', email => 'created@example.org', password => 'long enough', %field }
        );
    };
    my $answer = is_json_answer($create->(), 'create');
    is $answer->{status}, 'ok', 'status';
    ok $answer->{user_id}, 'user_id';
    is_json_answer(
        $server->request(POST => '/api/auth/test', json => { username => 'created', password => 'long enough' }),
        'the user can log in at once');
    is_error($create->(email    => 'other@example.org'), 409, 'conflict', 'the name is taken');
    is_error($create->(username => 'CREATED', email => 'other@example.org'),
        409, 'conflict', 'the name in capitals, too');
    is_error($create->(username => 'other'), 409, 'conflict', 'the address is taken');
    is_error($create->(username => 'other', email => 'CREATED@Example.ORG'),
        409, 'conflict', 'the address in capitals, too');
    my %other = (username => 'other', email => 'other@example.org');
    is_error(
        $create->(%other, password => 'x' x 7),
        400, 'invalid_request', 'password of 7 bytes',
        'PASSWORD_TOO_SHORT'
    );
    is_error(
        $create->(%other, password => 'x' x 257),
        400, 'invalid_request', 'password of 257 bytes',
        'PASSWORD_TOO_LONG'
    );
    is_error($create->(%other, $_    => undef), 400, 'invalid_request', "no $_")        for qw(username email password);
    is_error($create->(%other, $_    => 5),     400, 'invalid_request', "$_ as number") for qw(username email password);
    is_error($create->(%other, email => $_),    400, 'invalid_request', "address '" . s/\n/\\n/r . "'")
        for '', 'x', '@', 'a@', '@b', 'a b@example.org', 'a@b@c', "a\@example.org\nBcc: x\@y";
    is_error($create->(%other, username => $_), 400, 'invalid_request', "name '" . s/[\n\t]/\\n/r . "'")
        for '', '  ', 'a@b', "a\nb", "\t";

    for my $length (8, 72, 256) {
        my $password = 'ж' x ($length / 2);
        my $name     = "password $length";
        is_json_answer($create->(username => $name, email => "p$length\@example.org", password => $password),
            "password of $length bytes");
        is_json_answer($server->request(POST => '/api/auth/test', json => { username => $name, password => $password }),
            '  it works');
    }
    is_json_answer($create->(username => 'Жанна 💾', email => 'j@example.org'), 'a name of any letters');
    is_json_answer(
        $server->request(POST => '/api/auth/test', json => { username => 'ЖАННА 💾', password => 'long enough' }),
        '  found in capitals');
    my $hash = $server->dbh->selectrow_array(q{SELECT password_hash FROM users WHERE name = 'Created'});
    like $hash, qr/\A\$2b\$04\$/, 'the password is stored as bcrypt of the configured cost';
};

subtest 'list users' => sub {
    my $list = sub ($query) {
        my $answer = is_json_answer($server->admin(GET => "/admin/api/users?$query"), "list '$query'");
        return $answer;
    };
    $server->create_user(sprintf 'list%02d', $_) for 1 .. 25;
    my $answer = $list->('');
    has_types($answer, { users => 'array', page => 'number', per_page => 'number', total => 'number' }, 'its fields');
    is scalar @{ $answer->{users} }, 20, '20 a page by default';
    is $answer->{page},              1,  'page';
    is $answer->{per_page},          20, 'per_page';
    cmp_ok $answer->{total}, '>=', 25, 'total';
    my $user = $answer->{users}[0];
    has_types(
        $user,
        {
            username   => 'string',
            email      => 'string',
            confirmed  => 'number',
            blocked    => 'number',
            last_seen  => 'string',
            created_at => 'string',
            devices    => 'number'
        },
        'the fields of one'
    );
    ok $user->{id}, 'id';
    is $user->{confirmed}, 1,  'confirmed';
    is $user->{blocked},   0,  'not blocked';
    is $user->{last_seen}, '', 'a time that never happened is empty';
    like $user->{created_at}, $time, 'created_at';

    my $names = sub ($query) { [ map { $_->{username} } @{ $list->($query)->{users} } ] };
    my @list  = map { sprintf 'list%02d', $_ } 1 .. 25;
    is_deeply $names->('filter=list&sort=username&per_page=100'),            \@list,                'filter and sort';
    is_deeply $names->('filter=list&sort=username&order=asc&per_page=100'),  \@list,                'asc';
    is_deeply $names->('filter=list&sort=username&order=desc&per_page=100'), [ reverse @list ],     'desc';
    is_deeply $names->('filter=LIST&sort=email&per_page=10&page=2'),         [ @list[ 10 .. 19 ] ], 'pages';
    is_deeply $names->('filter=list&sort=username&per_page=10&page=3'),      [ @list[ 20 .. 24 ] ], 'the last page';
    is_deeply $names->('filter=list&page=99'),                               [],                    'beyond the end';
    is $list->('filter=list&page=99')->{total},    25, 'the total is there all the same';
    is $list->('filter=list&per_page=1')->{total}, 25, 'the total is of the filter';
    is_deeply $names->('filter=list07@example'), ['list07'], 'the filter looks into addresses';
    is_deeply $names->('filter=' . $_), [], "filter $_ is no pattern"
        for '%25', '_', "'", '%27%20OR%201%3D1--', '%5C', 'list__';
    is_deeply [ map { scalar @{ $names->("filter=list&sort=$_&order=desc&per_page=100") } }
            qw(confirmed blocked created_at last_seen devices) ], [ (25) x 5 ], 'every sort works';

    my @device = map { $server->pair('list05', $Verstak::Server::PASSWORD) } 1 .. 3;
    $server->pull($_) for @device;
    is $names->('filter=list&sort=devices&order=desc')->[0], 'list05', 'sort by devices';
    is $list->('filter=list05')->{users}[0]{devices},        3,        'devices are counted';
    for my $query (
        'per_page=0',           'per_page=101', 'per_page=-1',    'per_page=x',
        'page=0',               'page=-1',      'page=x',         'page=99999999999999999999',
        'sort=password_hash',   'sort=',        'order=sideways', "sort=username%3B--",
        'per_page=99999999999', 'filter=%00',   'filter=%ff'
        )
    {
        my $response = $server->admin(GET => "/admin/api/users?$query");
        if ($response->status == 200) {
            my $per_page = $response->json->{per_page};
            ok $per_page >= 1 && $per_page <= 100 && @{ $response->json->{users} } <= $per_page,
                "'$query' stays in bounds";
        } else {
            is_error($response, 400, 'invalid_request', "'$query'");
        }
    }
    unlike $server->admin(GET => '/admin/api/users')->body, qr/\$2[aby]\$/, 'no password hash in the answer';
};

subtest 'block' => sub {
    my ($name) = $server->create_user;
    my $id     = $server->{user_id}{$name};
    my $block  = sub ($of) { $server->admin(POST => "/admin/api/users/$of/block") };
    my $listed = sub { $server->admin(GET => "/admin/api/users?filter=$name")->json->{users}[0]{blocked} };
    my $answer = is_json_answer($block->($id), 'block');
    is_deeply $answer, { status => 'ok', blocked => 1 }, 'blocked';
    has_types($answer, { blocked => 'number' }, 'as a number');
    is $listed->(),                    1, 'the list says so';
    is $block->($id)->json->{blocked}, 0, 'toggled';
    is $listed->(),                    0, 'the list says so';
    is_error($block->($_), 404, 'not_found', "user $_")
        for 999_999_999, 'x', '-1', '0', '1%20OR%201=1', '9' x 30, "$id%00", "$id.0";
    my %session = $server->admin_login;
    is_error($server->request(POST => "/admin/api/users/$id/block", cookie => $session{cookie}),
        403, 'csrf_invalid', 'no CSRF token');
    is_error($server->request(POST => "/admin/api/users/$id/block"), 401, 'unauthorized', 'no session');
};

subtest 'stats' => sub {
    my $fresh = Verstak::Server->new(config => { 'server.workers' => 1 });
    my @field =
        qw(ops users active_users blocked_users unconfirmed_users active_devices revoked_devices vaults operations
        operations_24h blobs blob_references orphan_blobs audit_events database_bytes blob_bytes mails_waiting
        mails_failed);
    my $stats  = sub { is_json_answer($fresh->admin(GET => '/admin/api/stats'), 'stats') };
    my $before = $stats->();
    is_deeply [ grep { !exists $before->{$_} } @field, 'last_sync_activity', 'smtp_configured' ], [], 'all fields';
    has_types(
        $before,
        { last_sync_activity => 'string', smtp_configured => 'boolean', map { $_ => 'number' } @field },
        'their types'
    );
    is $before->{last_sync_activity}, '', 'no activity yet';
    is $before->{$_}, 0, "no $_ yet" for qw(ops users vaults operations blobs blob_references active_devices);

    my @user = $fresh->create_user;
    my ($blocked) = $fresh->create_user;
    $fresh->admin(POST => "/admin/api/users/$fresh->{user_id}{$blocked}/block");
    my @token = map { $fresh->pair(@user, vault_id => $_) } qw(a a b);
    $fresh->request(POST => '/api/client/revoke-current', token => $fresh->pair(@user, vault_id => 'b'));
    $fresh->push($token[0], map { Verstak::Server::op() } 1 .. 7);
    $fresh->upload($token[0], 'x' x 1000);
    $fresh->upload($token[2], 'x' x 1000);
    my $after = $stats->();
    my %want  = (
        ops               => 7,
        operations        => 7,
        operations_24h    => 7,
        users             => 2,
        active_users      => 1,
        blocked_users     => 1,
        unconfirmed_users => 0,
        active_devices    => 3,
        revoked_devices   => 1,
        vaults            => 2,
        blobs             => 1,
        blob_references   => 2,
        orphan_blobs      => 0,
        blob_bytes        => 1000,
    );
    is $after->{$_}, $want{$_}, $_ for sort keys %want;
    like $after->{last_sync_activity}, $time, 'last_sync_activity';
    cmp_ok $after->{database_bytes}, '>', 0,                       'database_bytes';
    cmp_ok $after->{audit_events},   '>', $before->{audit_events}, 'what was done is in the audit log';
};

subtest 'a new password of the admin ends the sessions' => sub {
    my %session = $server->admin_login;
    is_json_answer($server->request(GET => '/admin/api/stats', cookie => $session{cookie}), 'good before');
    my $text = $server->config_text;
    my $hash = crypt 'another password', '$2b$04$' . 'zyxwvutsrqponmlkjihgfu';
    $text =~ s/password_hash: ".*"/password_hash: "$hash"/ or die 'no hash in the configuration';
    $server->write_config_text($text);
    my @before = $server->pids_of('worker');
    $server->signal('HUP');
    ok Verstak::Wait::wait_until(
        30,
        sub {
            $server->request(GET => '/admin/api/stats', cookie => $session{cookie})->status == 401;
        }
        ),
        'the session is over';
    ok Verstak::Wait::wait_until(
        30,
        sub {
            !grep { Verstak::Processes::alive($_) } @before;
        }
        ),
        'the old workers leave';
    is_error(login(), 401, 'unauthorized', 'the old password');
    is_json_answer(login(form => { username => $ADMIN, password => 'another password' }), 'the new password');
};

done_testing;
