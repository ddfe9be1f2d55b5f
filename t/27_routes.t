# Every row of the route table keeps what it promises: who may call, which methods, how large a body.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Verstak::Contract;
use Verstak::HTTP;
use Verstak::People;
use Verstak::Server;

my $server = Verstak::Server->new(config => { 'limits.blob_size' => '1MiB' });
my $binary = Verstak::Server::binary();
my @rows   = map { [ split ' ' ] } split /\n/, qx{$binary --routes --data ${\ $server->data}};
is $?, 0, '--routes exits with 0';
is_deeply [ grep { @$_ != 5 } @rows ], [], 'each row is METHOD PATH WHO ATTEMPTS LIMIT';
my %row = map { ("$_->[0] $_->[1]" => $_) } @rows;
is scalar keys %row, scalar @rows, 'no method and path comes twice';

my %contract = (
    'GET /'                           => 'anyone none',
    'GET /livez'                      => 'anyone none',
    'GET /readyz'                     => 'anyone none',
    'GET /api/v1/health'              => 'anyone none',
    'POST /api/client/pair'           => 'anyone pair',
    'POST /api/auth/test'             => 'anyone login',
    'GET /api/client/me'              => 'device none',
    'POST /api/client/revoke-current' => 'device none',
    'POST /api/v1/sync/push'          => 'device none',
    'POST /api/v1/sync/pull'          => 'device none',
    'POST /api/v1/blobs/'             => 'device none',
    'GET /api/v1/blobs/{}'            => 'device none',
    'POST /api/v1/auth/register'      => 'anyone register',
    'GET /api/v1/auth/confirm'        => 'anyone none',
    'POST /api/v1/auth/confirm'       => 'anyone none',
    'POST /api/v1/auth/login'         => 'anyone login',
    'POST /api/v1/auth/forgot'        => 'anyone forgot',
    'POST /api/v1/auth/reset'         => 'anyone reset',
    'GET /confirm'                    => 'anyone none',
    'GET /reset'                      => 'anyone none',
    'GET /assets/page.css'            => 'anyone none',
    'GET /api/v1/user/me'             => 'user none',
    'GET /api/v1/user/devices'        => 'user none',
    'POST /api/v1/user/devices/{}/revoke' => 'user login',
    'POST /api/v1/user/password'      => 'user login',
    'POST /api/v1/user/email'         => 'user login',
    'POST /api/v1/user/logout'        => 'user none',
    'POST /api/v1/user/logout-all'    => 'user none',
    'POST /api/v1/user/delete'        => 'user login',
    'POST /admin/login'               => 'anyone admin',
    'GET /admin/api/stats'            => 'admin none',
    'GET /admin/api/users'            => 'admin none',
    'POST /admin/api/users/create'    => 'admin none',
    'POST /admin/api/users/{}/block'  => 'admin none',
    'POST /admin/api/users/{}/edit'   => 'admin none',
    'POST /admin/api/users/{}/reset-password' => 'admin none',
    'DELETE /admin/api/users/{}'      => 'admin none',
    'GET /admin/api/devices'          => 'admin none',
    'GET /admin/api/keys'             => 'admin none',
    'DELETE /admin/api/keys/{}'       => 'admin none',
    'GET /admin/api/settings'         => 'admin none',
    'POST /admin/api/settings'        => 'admin none',
    'GET /admin/api/smtp'             => 'admin none',
    'POST /admin/api/smtp'            => 'admin none',
    'POST /admin/api/smtp/test'       => 'admin none',
    'GET /admin/api/outbox'           => 'admin none',
    'POST /admin/api/outbox/{}/retry' => 'admin none',
);
is join(' ', @{ $row{$_} // [] }[ 2, 3 ]), $contract{$_}, "$_: who and which attempts" for sort keys %contract;
ok exists $row{'POST /api/client/revoke-device'}, 'POST /api/client/revoke-device';
is $row{'POST /api/client/revoke-device'}[2], 'device', '  for a device';
is_deeply [ grep { $_->[2] !~ /\A(?:anyone|device|user|admin)\z/ } @rows ], [], 'every row says who may call';
is_deeply [ grep { $_->[2] eq 'anyone' && $_->[1] =~ m{\A/admin/api|/api/v1/(?:sync|blobs)|/api/v1/user/} } @rows ], [],
    'nothing that must be protected is open';

my $device = $server->new_device;

# Who calls is found out together with what is asked; a body that is wrong in itself is refused before that.
my %body = (
    '/api/client/revoke-device' => { json => { device_id      => 'dev_x', password => 'x' } },
    '/api/v1/sync/push'         => { json => { ops            => [ Verstak::Server::op() ] } },
    '/api/v1/sync/pull'         => { json => { since_sequence => 0 } },
    '/api/v1/user/password'     => { json => { password       => 'x', new_password => 'long enough' } },
    '/api/v1/user/email'        => { json => { password       => 'x', email        => 'x@example.org' } },
    '/api/v1/user/delete'       => { json => { password       => 'x' } },
    '/api/v1/user/devices/' . '1' x 64 . '/revoke' => { json => { password => 'x' } },
    '/admin/api/users/' . '1' x 64 . '/edit' => { json => { username => 'x', email => 'x@example.org' } },
    '/admin/api/smtp/test' => { json => { test_to => 'x@example.org' } },
);
my %admin  = $server->admin_login;
my $people = Verstak::People->new($server);
my $person = $people->sign_up;
my $user   = $people->session($person);

# The path of a row with something in place of {}.
sub path_of ($row) {
    return $row->[1] =~ s/\{\}/'1' x 64/er;
}

# The path is one of the row's with a variable part.
sub meets ($path, $row) {
    my ($before, $after) = split /\{\}/, $row, 2 or return 0;
    return defined $after && $path =~ m{\A\Q$before\E[^/]+\Q$after\E\z};
}

for my $row (@rows) {
    my ($method, undef, $who, $attempts, $limit) = @$row;
    my $path = path_of($row);
    subtest "$method $row->[1]" => sub {
        my $ask = sub (%option) { $server->request($method => $path, %option) };
        if ($who eq 'anyone') {
            my $response = $ask->();
            unlike $response->status, qr/\A(?:403|404|405|5..)\z/, 'answers without credentials'
                or diag $response->describe;
            isnt $response->status, 401, 'asks for no credentials';
        } else {
            is_error($ask->(), 401, 'unauthorized', 'no credentials');
            my $unknown = $ask->(
                token  => 'a' x 64,
                cookie => 'user_session=' . 'a' x 64 . '; admin_session=' . 'a' x 64,
                csrf   => 'a' x 64,
                %{ $body{$path} // {} }
            );
            # The CSRF token is bound to the session: for one that never was there is none that is right.
            my $csrf_first = $who eq 'admin' && $method ne 'GET' && $unknown->code eq 'csrf_invalid';
            is_error($unknown, $csrf_first ? (403, 'csrf_invalid') : (401, 'unauthorized'), 'unknown credentials');
            my %body = %{ $body{$path} // ($method eq 'POST' ? { json => {} } : {}) };
            is_error($ask->(token => $device, %body), 401, 'unauthorized', "a device's token")   if $who ne 'device';
            is_error($ask->(%admin, %body),           401, 'unauthorized', "an admin's session") if $who ne 'admin';
            is_error($ask->(token => $user->{token}, cookie => "user_session=$user->{token}", csrf => $user->{csrf_token}, %body),
                401, 'unauthorized', "a user's session")
                if $who ne 'user';
            is_error($ask->(cookie => "admin_session=$user->{token}", csrf => $user->{csrf_token}, %body),
                401, 'unauthorized', "a user's session as the cookie of an admin");
            is_error($server->request($method => "$path?token=$device", headers => [ 'X-Token' => $device ]),
                401, 'unauthorized', 'a token in the URL');
            is_error($ask->(cookie => $admin{cookie}), 403, 'csrf_invalid', 'a session without CSRF token')
                if $who eq 'admin' && $method ne 'GET';
        }
        if ($method eq 'GET') {
            my $head = $server->request(HEAD => $path);
            is $head->status, $ask->()->status, 'HEAD answers as GET';
            is $head->body,   '',               'without a body';
        }
        my @others = grep { !$row{"$_ $row->[1]"} && !($_ eq 'HEAD' && $row{"GET $row->[1]"}) }
            qw(GET HEAD POST PUT DELETE PATCH OPTIONS);
        # /api/v1/blobs/ and the like must not fall into the {} of another row.
        for my $other (@others) {
            my $response = $server->request($other => $path);
            if ($other eq 'HEAD') { is_status($response, 405, "$other: 405"); next }
            is_error($response, 405, 'method_not_allowed', $other);
            my %allowed = map { $_ => 1 } split /\s*,\s*/, $response->header('Allow') // '';
            ok $allowed{$method}, "Allow for $other names $method";
            ok !$allowed{$other}, "and not $other";
        }
        my %credential = $who eq 'device' ? (token => $device) : $who eq 'admin' ? %admin : ();
        %credential = (token => $user->{token}) if $who eq 'user';
        my $connection = $server->connect;
        $connection->send(
            Verstak::HTTP::head($method => $path, %credential, type => 'application/json', length => $limit + 1));
        my $response = $connection->response;
        is_status($response, 413, "a Content-Length of $limit + 1");
        like $response->code, qr/\A(?:request|blob)_too_large\z/, 'with its code';
        ok $connection->is_closed, 'and the connection is closed, because its body is not read';

        if ($who ne 'anyone') {
            my $stranger = $server->connect;
            $stranger->send(Verstak::HTTP::head($method => $path, type => 'application/json', length => $limit + 1));
            like $stranger->response->status, qr/\A(?:401|413)\z/, 'without credentials, too';
        }
    };
}

subtest 'paths near a route are none' => sub {
    for my $row (@rows) {
        my $path = path_of($row);
        next if $path eq '/';
        for my $near ("$path/x", "/x$path", "$path//") {
            my $response = $server->request($row->[0] => $near);
            like $response->status, qr/\A(?:404|400|401|405)\z/, "$row->[0] " . substr $near, 0, 60;
            next if $response->status !~ /\A(?:401|405)\z/;
            ok grep({ $_->[2] ne 'anyone' && meets($near, $_->[1]) } @rows), 'a protected row with a variable part took it';
        }
    }
};

done_testing;
