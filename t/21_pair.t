# Pairing, auth/test, me, revoke-current, revoke-device.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time);
use Verstak::Contract;
use Verstak::Server;

my $server = Verstak::Server->new;
my $time   = qr/\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\z/a;
my ($name, $password) = $server->create_user('Ann');
my $user_id = $server->{user_id}{$name};

sub pair (%field) {
    return $server->request(
        POST => '/api/client/pair',
        json => { login => $name, password => $password, %field }
    );
}

sub me ($token) {
    return $server->request(GET => '/api/client/me', token => $token);
}

subtest 'a device pairs' => sub {
    my $answer = is_json_answer(pair(device_name => 'laptop', client_version => '1.2.3'), 'pair');
    has_types(
        $answer,
        {
            device_id           => 'string',
            device_token        => 'string',
            user_id             => json_type($user_id),
            server_time         => 'string',
            initial_sync_cursor => 'number'
        },
        'its fields'
    );
    like $answer->{device_id},    qr/\Adev_[0-9a-f]{24}\z/, 'device_id';
    like $answer->{device_token}, qr/\A[0-9a-f]{64}\z/,     'device_token';
    like $answer->{server_time},  $time,                    'server_time';
    is $answer->{initial_sync_cursor}, 0,        'initial_sync_cursor';
    is $answer->{user_id},             $user_id, 'user_id is the one of the creation';

    my $me = is_json_answer(me($answer->{device_token}), 'me');
    is $me->{device_id},      $answer->{device_id}, 'me: device_id';
    is $me->{user_id},        $user_id,             'me: user_id';
    is $me->{username},       $name,                'me: username';
    is $me->{device_name},    'laptop',             'me: device_name';
    is $me->{client_version}, '1.2.3',              'me: client_version';
    is $me->{revoked_at},     '',                   'me: never revoked';
    like $me->{created_at}, $time,          'me: created_at';
    like $me->{last_seen},  qr/$time|\A\z/, 'me: last_seen';

    my $other = pair(device_name => 'laptop')->json;
    isnt $other->{device_id},    $answer->{device_id},    'a second pairing is another device';
    isnt $other->{device_token}, $answer->{device_token}, 'with another token';
};

subtest 'the token is stored only as its hash' => sub {
    my $token = $server->pair($name, $password);
    my $rows  = join "\n", map { $_->[0] } @{ $server->dbh->selectall_arrayref('SELECT d::text FROM devices d') };
    unlike $rows, qr/\Q$token\E/, 'the token is not in the database';
    require Digest::SHA;
    like $rows,               qr/\Q${\ Digest::SHA::sha256_hex($token)}\E/, 'its SHA-256 is';
    unlike $server->log_text, qr/\Q$token\E|\Q$password\E/,                 'the log has neither token nor password';
};

subtest 'last_seen' => sub {
    my $token = $server->pair($name, $password);
    $server->pull($token);
    ok Verstak::Wait::wait_until(10, sub { me($token)->json->{last_seen} =~ $time }), 'last_seen is set by use';
};

subtest 'login by name and by address' => sub {
    is_json_answer(pair(login => $_), "login '$_'") for 'Ann', 'ann', 'ANN', 'Ann@example.org', 'ANN@EXAMPLE.ORG';
};

subtest 'defaults' => sub {
    my $me = me(pair()->json->{device_token})->json;
    is $me->{device_name},    'unknown', 'device_name is unknown when absent';
    is $me->{client_version}, '',        'client_version is empty when absent';
    is me(pair(device_name => undef)->json->{device_token})->json->{device_name}, 'unknown', 'null is absent';
    is_json_answer(pair(colour => 'red', nested => { a => [1] }), 'unknown fields are ignored');
    is_json_answer(
        $server->request(
            POST    => '/api/client/pair',
            json    => { login => $name, password => $password },
            headers => [ Authorization => $_ ]
        ),
        "Authorization: '$_' is ignored"
    ) for 'Bearer ', 'Bearer nonsense';
    is_json_answer(
        $server->request(
            POST => '/api/client/pair',
            body => qq({"login":"$name","password":"$password"}),
            type => $_
        ),
        "Content-Type '$_' will do"
    ) for 'text/plain', 'application/x-www-form-urlencoded', 'nonsense';
    is_json_answer($server->request(POST => '/api/client/pair', body => qq({"login":"$name","password":"$password"})),
        'no Content-Type will do');
    is_json_answer(
        $server->request(
            POST   => '/api/client/pair',
            chunks => [ qq({"login":"$name",), qq("password":"$password"}) ]
        ),
        'a chunked body will do'
    );
};

subtest 'wrong login or password' => sub {
    my $wrong   = pair(password => 'not the password');
    my $unknown = pair(login    => 'nobody of this name');
    is_error($wrong,                         401, 'unauthorized', 'wrong password');
    is_error($unknown,                       401, 'unauthorized', 'unknown login');
    is_error(pair(login => 'x@example.org'), 401, 'unauthorized', 'unknown address');
    is $wrong->body, $unknown->body, 'one answer for both';
    is_error(pair(login    => "ann'; DROP TABLE users; --"), 401, 'unauthorized', 'SQL as login');
    is_error(pair(login    => 'an_'),                        401, 'unauthorized', 'a pattern as login');
    is_error(pair(password => uc $password),                 401, 'unauthorized', 'the password in capitals');
    is_error(pair(password => "$password "),                 401, 'unauthorized', 'the password and a blank');
    is_error(pair(password => 'x' x 5000),                   401, 'unauthorized', 'a very long password');
};

subtest 'fields that lack or have a wrong type' => sub {
    for my $field (qw(login password)) {
        is_error(pair($field => undef), 400, 'invalid_request', "$field null");
        my %body = (login => $name, password => $password);
        delete $body{$field};
        is_error($server->request(POST => '/api/client/pair', json => \%body), 400, 'invalid_request', "no $field");
    }
    for my $field (qw(login password device_name client_version vault_id)) {
        is_error(pair($field => $_->[0]), 400, 'invalid_request', "$field as $_->[1]")
            for [ 1, 'number' ], [ [], 'array' ], [ {}, 'object' ], [ JSON::PP::true, 'boolean' ];
    }
};

subtest 'lengths in bytes' => sub {
    is_error(pair(login => 'l' x 320), 401, 'unauthorized',   'login of 320');
    is_error(pair(login => 'l' x 321), 400, 'field_too_long', 'login of 321');
    my %limit = (device_name => 128, client_version => 256, vault_id => 256);
    for my $field (sort keys %limit) {
        is_json_answer(pair($field => 'x' x $limit{$field}), "$field of $limit{$field}");
        is_error(pair($field => 'x' x ($limit{$field} + 1)), 400, 'field_too_long', "$field of one more");
        is_json_answer(pair($field => 'ж' x ($limit{$field} / 2)),
            "$field of $limit{$field} bytes in two-byte letters");
        is_error(pair($field => 'ж' x ($limit{$field} / 2) . 'x'), 400, 'field_too_long', "$field of one byte more");
    }
    my $device_name = "Ann’s 💻\t\"x\"\\ \x{fffd}";
    is me(pair(device_name => $device_name)->json->{device_token})->json->{device_name}, $device_name,
        'a name comes back as it was';
};

subtest 'vaults' => sub {
    my %token = (
        none    => $server->pair($name, $password),
        none2   => $server->pair($name, $password),
        blank   => $server->pair($name, $password, vault_id => '  '),
        empty   => $server->pair($name, $password, vault_id => ''),
        null    => $server->pair($name, $password, vault_id => undef),
        work    => $server->pair($name, $password, vault_id => 'work'),
        trimmed => $server->pair($name, $password, vault_id => " \twork\r\n "),
        WORK    => $server->pair($name, $password, vault_id => 'WORK'),
        user_id => $server->pair($name, $password, vault_id => "$user_id"),
        infix   => $server->pair($name, $password, vault_id => "my legacy:$user_id"),
    );
    $server->push($token{none}, Verstak::Server::op(op_id => 'in-the-default-vault'));
    $server->push($token{work}, Verstak::Server::op(op_id => 'in-work'));
    my %seen = map {
        $_ => join ' ', map { $_->{op_id} } $server->pull_all($token{$_})
    } keys %token;
    is $seen{$_}, 'in-the-default-vault', "vault_id $_ is the default vault" for qw(none none2 blank empty null);
    is $seen{$_}, 'in-work',              "vault_id $_ is the vault work"    for qw(work trimmed);
    is $seen{$_}, '',                     "vault_id $_ is another vault"     for qw(WORK user_id infix);
    is_error(pair(vault_id => $_), 400, 'invalid_request', "vault_id '$_'")
        for "legacy:$user_id", 'legacy:', 'legacy:x', " legacy:$user_id", "\tlegacy:x ";
};

subtest 'blocked' => sub {
    my ($blocked) = $server->create_user;
    my $token     = $server->pair($blocked, $password);
    my $id        = $server->{user_id}{$blocked};
    is $server->admin(POST => "/admin/api/users/$id/block")->json->{blocked}, 1, 'blocked';
    is_error(pair(login => $blocked), 403, 'forbidden', 'pair with the right password', 'account blocked');
    is_error(pair(login => $blocked, password => 'wrong password'), 401, 'unauthorized', 'pair with a wrong one');
    is_error($server->request(POST => '/api/auth/test', json => { username => $blocked, password => $password }),
        403, 'forbidden', 'auth/test', 'account blocked');
    is_error($_->[1], 403, 'forbidden', "$_->[0] with a blocked user's device", 'account blocked')
        for [ me => me($token) ], [ push => $server->push_response($token, []) ],
        [ pull   => $server->request(POST => '/api/v1/sync/pull', token => $token, json => { since_sequence => 0 }) ],
        [ upload => $server->upload_response($token, 'x') ],
        [ download         => $server->request(GET  => '/api/v1/blobs/' . 'a' x 64,  token => $token) ],
        [ 'revoke-current' => $server->request(POST => '/api/client/revoke-current', token => $token) ];
    is $server->admin(POST => "/admin/api/users/$id/block")->json->{blocked}, 0, 'unblocked';
    is_json_answer(me($token),              'the token is good again');
    is_json_answer(pair(login => $blocked), 'pairing, too');
};

subtest 'not confirmed' => sub {
    my ($fresh) = $server->create_user;
    $server->dbh->do('UPDATE users SET confirmed_at = NULL WHERE name = ?', undef, $fresh);
    is_error(pair(login => $fresh), 403, 'forbidden', 'pair with the right password', 'email not confirmed');
    is_error(pair(login => $fresh, password => 'wrong password'), 401, 'unauthorized', 'pair with a wrong one');
    is_error($server->request(POST => '/api/auth/test', json => { username => $fresh, password => $password }),
        403, 'forbidden', 'auth/test', 'email not confirmed');
};

subtest 'auth/test' => sub {
    my $test = sub (%field) {
        $server->request(POST => '/api/auth/test', json => { username => $name, password => $password, %field });
    };
    my $devices = sub { $server->admin(GET => '/admin/api/stats')->json->{active_devices} };
    my $before  = $devices->();
    is_deeply is_json_answer($test->(), 'auth/test'), { status => 'ok' }, 'ok';
    is $devices->(), $before, 'it creates nothing';
    is_error($test->(password => 'wrong password'), 401, 'unauthorized',    'wrong password');
    is_error($test->(username => 'nobody'),         401, 'unauthorized',    'unknown name');
    is_error($test->(username => undef),            400, 'invalid_request', 'no name');
    is_error($test->(password => undef),            400, 'invalid_request', 'no password');
    is_error($test->(password => 5),                400, 'invalid_request', 'password as number');
    is_error($test->(username => 'n' x 321),        400, 'field_too_long',  'name of 321 bytes');
    is $test->(password => 'wrong password')->body, $test->(username => 'nobody')->body, 'one answer for both';
};

subtest 'tokens that are none' => sub {
    my $token   = $server->pair($name, $password);
    my $request = sub ($authorization, %option) {
        $server->request(
            GET     => $option{path} // '/api/client/me',
            headers => [ defined $authorization ? (Authorization => $authorization) : (), @{ $option{headers} // [] } ]
        );
    };
    is_error($request->($_), 401, 'unauthorized', 'Authorization: ' . ($_ // 'none'))
        for undef, '', 'Bearer', 'Bearer ', $token, "Basic $token", 'Bearer ' . 'a' x 64, 'Bearer ' . uc $token,
        "Bearer $token$token", 'Bearer ' . substr($token, 1), "Bearer ${token}0", "Bearer $token x",
        "Bearer \"$token\"",
        "Bearer $token, Bearer $token", 'Bearer ' . 'g' x 64, 'Bearer ' . 'x' x 4000;
    is_error($request->(undef, path => "/api/client/me?$_=$token"), 401, 'unauthorized', "token as $_ in the URL")
        for qw(token access_token device_token);
    is_error($request->(undef, headers => [ Cookie => "$_=$token" ]), 401, 'unauthorized', "token as cookie $_")
        for qw(user_session admin_session);
    like $request->("Bearer $token", headers => [ Authorization => 'Bearer ' . 'a' x 64 ])->status, qr/\A40[01]\z/,
        'two Authorization headers';
    is_json_answer($request->("Bearer $token"), 'the token itself');
};

subtest 'revoke-current' => sub {
    for my $body ([ 'no body' => () ], [ 'an empty body' => (body => '') ], [ 'an object' => (json => {}) ]) {
        my ($what, @body) = @$body;
        my $token = $server->pair($name, $password);
        my $answer =
            is_json_answer($server->request(POST => '/api/client/revoke-current', token => $token, @body), $what);
        is_deeply $answer, { status => 'revoked' }, "$what: revoked";
        is_error($_->[1], 401, 'unauthorized', "$what: then $_->[0]", 'device revoked')
            for [ me => me($token) ], [ push => $server->push_response($token, [ Verstak::Server::op() ]) ],
            [ pull => $server->request(POST => '/api/v1/sync/pull', token => $token, json => { since_sequence => 0 }) ],
            [ upload           => $server->upload_response($token, 'x') ],
            [ download         => $server->request(GET  => '/api/v1/blobs/' . 'a' x 64,  token => $token) ],
            [ 'revoke-current' => $server->request(POST => '/api/client/revoke-current', token => $token) ],
            [
            'revoke-device' => $server->request(
                POST  => '/api/client/revoke-device',
                token => $token,
                json  => { device_id => 'dev_x', password => $password }
            )
            ];
    }
};

subtest 'revoke-device' => sub {
    my $here       = $server->pair_device($name, $password);
    my $there      = $server->pair_device($name, $password, vault_id => 'elsewhere');
    my ($stranger) = $server->create_user;
    my $foreign    = $server->pair_device($stranger, $password);
    my $revoke     = sub (%field) {
        $server->request(
            POST  => '/api/client/revoke-device',
            token => $here->{device_token},
            json  => { device_id => $there->{device_id}, password => $password, %field }
        );
    };
    is_error($revoke->(password => 'wrong password'), 403, 'forbidden', 'wrong password');
    my $none    = $revoke->(device_id => 'dev_' . '0' x 24);
    my $someone = $revoke->(device_id => $foreign->{device_id});
    is_error($none,    404, 'not_found', 'no such device');
    is_error($someone, 404, 'not_found', "somebody else's device");
    is $none->body, $someone->body, 'one answer for both';
    is_error($revoke->(device_id => $_->[0]), 400, 'invalid_request', "device_id $_->[1]")
        for [ undef, 'null' ], [ 7, 'number' ];
    is_error($revoke->(password => $_->[0]), 400, 'invalid_request', "password $_->[1]")
        for [ undef, 'null' ], [ 7, 'number' ];
    is_error($revoke->(device_id => $_), 404, 'not_found', "device_id '$_'") for 'x', "dev_'", 'dev_%', '../x';
    is_json_answer(me($there->{device_token}),   'nothing is revoked so far');
    is_json_answer(me($foreign->{device_token}), 'nor the stranger\'s device');

    is_deeply is_json_answer($revoke->(), 'revoke-device'), { status => 'revoked' }, 'revoked';
    is_error(me($there->{device_token}), 401, 'unauthorized', 'the other device', 'device revoked');
    is_json_answer(me($here->{device_token}), 'this device goes on');
};

subtest 'a user has so many devices and vaults, and no more' => sub {
    my $small = Verstak::Server->new(config => { 'limits.devices' => 2, 'limits.vaults' => 2, 'attempts.pair' => 1000 });
    my ($user, $secret) = $small->create_user;
    my $try = sub (%field) {
        return $small->request(POST => '/api/client/pair', json => { login => $user, password => $secret, %field });
    };
    my @device = map { is_json_answer($try->(vault_id => $_), "a device of vault $_") } 'one', 'two';
    is_error($try->(vault_id => 'one'), 409, 'conflict', 'a third device', 'too many devices; revoke one that is no longer used');
    is $small->request(POST => '/api/client/revoke-current', token => $device[0]{device_token})->status, 200, 'one is revoked';
    is_error($try->(vault_id => 'three'), 409, 'conflict', 'a third vault', 'too many vaults');
    is_json_answer($try->(vault_id => 'one'), 'another device of a vault that is there');
    is_deeply [ $small->dbh->selectrow_array('SELECT count(*), count(revoked_at) FROM devices') ], [ 2, 0 ],
        'the revoked one is forgotten';
    is $small->request(GET => '/api/client/me', token => $device[0]{device_token})->status, 401, 'and remains out';
    is_json_answer($small->request(GET => '/api/client/me', token => $device[1]{device_token}), 'the other one goes on');
};

subtest 'unknown account and wrong password take the same time' => sub {
    my $slow = Verstak::Server->new(config => { 'password.cost' => 10, 'server.workers' => 1 });
    my ($user) = $slow->create_user;
    my %least;
    for my $login (($user, 'nobody') x 9) {
        my $start    = time;
        my $response = $slow->request(POST => '/api/client/pair', json => { login => $login, password => 'no no no' });
        my $took     = time - $start;
        is $response->status, 401, 'refused';
        $least{$login} = $took if $took < ($least{$login} // 9**9);
    }
    my ($known, $unknown) = @least{ $user, 'nobody' };
    note sprintf 'least of nine: known %.1f ms, unknown %.1f ms', $known * 1000, $unknown * 1000;
    cmp_ok $unknown, '>', $known * 0.6, 'an unknown account is not faster';
    cmp_ok $unknown, '<', $known * 1.7, 'nor slower';
};

done_testing;
