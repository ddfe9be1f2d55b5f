# Attempt limits: by address and by account, over workers and hosts, behind a proxy, and that they end.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(time);
use Verstak::Contract;
use Verstak::People;
use Verstak::Postgres;
use Verstak::Server;
use Verstak::Wait qw(wait_until);

my $pg     = Verstak::Postgres->new;
my %config = (
    'server.workers'         => 4,
    'server.trusted_proxies' => [ '127.0.1.0/24', '127.0.2.1' ],
    'attempts.pair'          => 3,
    'attempts.login'         => 4,
    'attempts.admin'         => 5,
    'attempts.pair_window'   => '10m',
    'attempts.login_window'  => '10m',
    'attempts.admin_window'  => '10m',
    'attempts.register'      => 3,
    'attempts.reset'         => 4,
);
my $server   = Verstak::Server->new(postgres => $pg, config => \%config);
my $password = $Verstak::Server::PASSWORD;
my $host     = 10;

# An address of 127.0.0.0/24 that no other call gives; the proxies are elsewhere.
sub address () { return '127.0.0.' . $host++ }

sub pair ($login, $with, %option) {
    my $of = delete $option{server} // $server;
    return $of->request(POST => '/api/client/pair', json => { login => $login, password => $with }, %option);
}

sub wrong ($login, %option) { return pair($login, 'wrong password', %option) }

sub is_limited ($response, $what, $window = 600) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_error($response, 429, 'rate_limited', $what) or return 0;
    my $after = $response->header('Retry-After');
    return ok $after >= 1 && $after <= $window, "$what: Retry-After $after lies in the window";
}

my @user = map { ($server->create_user)[0] } 1 .. 12;

subtest 'by address' => sub {
    my ($from, $other) = (address(), address());
    is_error(wrong($user[$_], local => $from), 401, 'unauthorized', 'attempt ' . ($_ + 1)) for 0 .. 2;
    is_limited(wrong($user[3], local => $from), 'the fourth');
    is_limited(pair($user[3],        $password, local => $from), 'with the right password, too');
    is_limited(pair('nobody at all', 'x',       local => $from), 'for an unknown account, too');
    is_json_answer(pair($user[3], $password, local => $other), 'from another address');
    is_json_answer(
        $server->request(
            POST  => '/api/auth/test',
            local => $from,
            json  => { username => $user[3], password => $password }
        ),
        'another class of attempts'
    );
    my $limited = pair($user[3], $password, local => $from);
    ok !exists $limited->json->{device_token}, 'no token in the answer';
};

subtest 'by account' => sub {
    is_error(wrong($user[4], local => address()), 401, 'unauthorized', "attempt $_") for 1 .. 3;
    is_limited(wrong($user[4], local => address()),                'the fourth, from a fourth address');
    is_limited(pair($user[4], $password, local => address()),      'with the right password, too');
    is_limited(wrong(uc $user[4], local => address()),             'by the name in capitals, too');
    is_limited(wrong("$user[4]\@example.org", local => address()), 'by the address, too');
    is_json_answer(pair($user[5], $password, local => address()), 'another account');
    is_error(wrong('no such account', local => address()), 401, 'unauthorized', "unknown account, attempt $_")
        for 1 .. 3;
    is_limited(wrong('no such account', local => address()), 'an unknown account is limited the same way');
};

subtest 'a success clears its address' => sub {
    my $from = address();
    is_error(wrong($user[6], local => $from), 401, 'unauthorized', 'wrong') for 1, 2;
    is_json_answer(pair($user[7], $password, local => $from), 'right');
    is_error(wrong("unknown $_", local => $from), 401, 'unauthorized', "wrong again, $_") for 1 .. 3;
    is_limited(wrong('unknown 4', local => $from), 'the fourth');
    my $busy = address();
    is_json_answer(pair($user[8], $password, local => $busy), "right password, $_") for 1 .. 10;
    is_error(wrong($user[6], local => address()), 401, 'unauthorized', 'wrong, third of the account');
    is_limited(wrong($user[6], local => address()), "the success of another account did not clear this one's count");
};

subtest 'many at once get no more' => sub {
    my $from       = address();
    my @connection = map { $server->connect(local => $from) } 1 .. 24;
    $connection[$_]->send_request(POST => '/api/client/pair', json => { login => "racer $_", password => 'x' })
        for 0 .. $#connection;
    my %count;
    $count{ $_->response->status }++ for @connection;
    is_deeply \%count, { 401 => 3, 429 => 21 }, 'three of 24, over four workers';
};

subtest 'auth test and revoke-device' => sub {
    my $test = sub ($with, $from) {
        $server->request(POST => '/api/auth/test', local => $from, json => { username => $user[9], password => $with });
    };
    is_error($test->('wrong password', address()), 401, 'unauthorized', "auth/test, attempt $_") for 1 .. 4;
    is_limited($test->('wrong password', address()), 'auth/test, the fifth of the account');
    is_limited($test->($password,        address()), 'with the right password, too');
    is_json_answer(pair($user[9], $password, local => address()), 'pairing is another class');

    my $from   = address();
    my $token  = $server->pair_device($user[10], $password)->{device_token};
    my $victim = $server->pair_device($user[10], $password)->{device_id};
    my $revoke = sub ($with) {
        $server->request(
            POST  => '/api/client/revoke-device',
            token => $token,
            local => $from,
            json  => { device_id => $victim, password => $with }
        );
    };
    is_error($revoke->('wrong password'), 403, 'forbidden', "revoke-device, attempt $_") for 1 .. 4;
    is_limited($revoke->('wrong password'), 'the fifth');
    is_limited($revoke->($password),        'with the right password, too');
};

subtest 'admin login' => sub {
    my $from  = address();
    my $login = sub ($name, $with, $at) {
        $server->request(POST => '/admin/login', local => $at, form => { username => $name, password => $with });
    };
    is_error($login->("nobody $_", 'x', $from), 401, 'unauthorized', "attempt $_") for 1 .. 5;
    is_limited($login->($Verstak::Server::ADMIN, $Verstak::Server::ADMIN_PASSWORD, $from), 'the sixth of the address');
    is_json_answer($login->($Verstak::Server::ADMIN, $Verstak::Server::ADMIN_PASSWORD, address()),
        'from another address');
    my $refused = 0;
    for (1 .. 10) {
        my $response = $login->($Verstak::Server::ADMIN, 'wrong', address());
        $refused++, last if $response->status == 429;
        is $response->status, 401, 'wrong password';
    }
    is $refused, 1, 'the account is limited, too';
};

my $people = Verstak::People->new($server);
my %account = (
    register => {
        path   => '/api/v1/auth/register',
        limit  => 3,
        window => 3600,
        status => 200,
        body   => sub ($email) { { username => Verstak::Server::next_name('limited'), email => $email, password => 'long enough' } },
        wrong  => { username => 'a@b', email => 'x@example.org', password => 'long enough' },
    },
    forgot => {
        path   => '/api/v1/auth/forgot',
        limit  => 3,
        window => 3600,
        status => 200,
        body   => sub ($email) { { email => $email } },
        wrong  => { email => 'x' },
    },
    login => {
        path   => '/api/v1/auth/login',
        limit  => 4,
        window => 600,
        status => 401,
        body   => sub ($email) { { username => $email, password => 'wrong password' } },
        wrong  => { username => 'x' },
    },
);
my $number = 0;
sub new_email () { return sprintf 'limit%d@example.org', ++$number }

for my $what (sort keys %account) {
    my ($path, $limit, $window, $status, $body, $wrong) = @{ $account{$what} }{qw(path limit window status body wrong)};
    my $ask = sub ($email, $from, %option) { $server->request(POST => $path, local => $from, json => $body->($email), %option) };
    subtest $what => sub {
        my $from = address();
        is_status($server->request(POST => $path, local => $from, json => $wrong), 400, 'what is no attempt') for 1 .. $limit + 1;
        is_status($ask->(new_email(), $from), $status, "attempt $_ of the address") for 1 .. $limit;
        is_limited($ask->(new_email(), $from), 'one more', $window);
        is_status($ask->(new_email(), address()), $status, 'from another address');

        my $email = new_email();
        is_status($ask->($email, address()), $what eq 'register' && $_ > 1 ? 409 : $status, "attempt $_ of the account") for 1 .. $limit;
        is_limited($ask->($email,    address()), 'one more, from an address of its own', $window);
        is_limited($ask->(uc $email, address()), 'in capitals, too', $window);
        is_status($ask->(new_email(), address()), $status, 'another account');

        my @connection = map { $server->connect(local => '127.0.3.' . (1 + $number % 250)) } 1 .. 16;
        $number++;
        $_->send_request(POST => $path, json => $body->(new_email())) for @connection;
        my %count;
        $count{ $_->response->status }++ for @connection;
        is_deeply \%count, { $status => $limit, 429 => 16 - $limit }, "16 at once, over four workers: $limit";

        my $forwarded = sub ($for, $at) { $ask->(new_email(), $at, headers => [ 'X-Forwarded-For' => $for ]) };
        my $client    = '192.0.2.' . (100 + $number++);
        is_status($forwarded->($client, '127.0.1.1'), $status, "attempt $_ through a proxy") for 1 .. $limit;
        is_limited($forwarded->($client, '127.0.1.1'), 'one more', $window);
        is_status($forwarded->('192.0.2.' . (100 + $number++), '127.0.1.1'), $status, 'another client of the proxy');
        my $stranger = address();
        is_status($forwarded->("198.51.100.$_", $stranger), $status, 'X-Forwarded-For of a stranger is not believed') for 1 .. $limit;
        is_limited($forwarded->('198.51.100.99', $stranger), 'one more', $window);
    };
}

subtest 'each class counts for itself' => sub {
    my $from = address();
    is_status($server->request(POST => '/api/v1/auth/forgot', local => $from, json => { email => new_email() }), 200, 'forgot') for 1 .. 3;
    is_limited($server->request(POST => '/api/v1/auth/forgot', local => $from, json => { email => new_email() }), 'one more', 3600);
    is_status($server->request(POST => $account{register}{path}, local => $from, json => $account{register}{body}->(new_email())), 200, 'register');
    is_status($server->request(POST => $account{login}{path}, local => $from, json => $account{login}{body}->(new_email())), 401, 'login');
    is_error(wrong('nobody', local => $from), 401, 'unauthorized', 'pair');
};

subtest 'reset' => sub {
    my $reset = sub ($token, $from, %option) {
        $server->request(POST => '/api/v1/auth/reset', local => $from, json => { token => $token, new_password => 'long enough' }, %option);
    };
    my $guess = sub () { join '', map { sprintf '%x', rand 16 } 1 .. 64 };
    my $from  = address();
    is_error($reset->('x', $from), 400, 'invalid_request', 'what cannot be a token is no attempt') for 1 .. 5;
    is_error($reset->($guess->(), $from), 400, 'invalid_request', "guess $_") for 1 .. 4;
    is_limited($reset->($guess->(), $from), 'one more', 3600);
    my $page = $reset->($guess->(), $from, headers => [ Accept => 'text/html' ]);
    is_status($page, 429, 'for a browser');
    like $page->body, qr/Too many attempts/, 'a page says so';
    cmp_ok $page->header('Retry-After'), '>', 3000, 'with Retry-After';
    my $email = new_email();
    $server->request(POST => '/api/v1/auth/forgot', local => address(), json => { email => $email });
    my $token = $people->secret(reset => $email);
    is_error($reset->($token, address()), 400, 'invalid_request', "the token of one address, try $_") for 1 .. 4;
    is_limited($reset->($token, address()), 'one more, from an address of its own', 3600);
    is_error($reset->($guess->(), address()), 400, 'invalid_request', 'another token');
};

subtest 'the password that a change asks for' => sub {
    my ($name) = $server->create_user;
    my $ann = { username => $name, password => $password };
    my $session = $people->session($ann, local => address());
    my %path = (
        '/api/v1/user/password'               => { new_password => 'long enough' },
        '/api/v1/user/email'                  => { email => new_email() },
        '/api/v1/user/delete'                 => {},
        '/api/v1/user/devices/dev_x/revoke' => {},
    );
    my $ask = sub ($path, $with) {
        $server->request(POST => $path, local => address(), token => $session->{token}, json => { %{ $path{$path} }, password => $with });
    };
    my @path = sort keys %path;
    is_error($ask->($path[$_], 'wrong password'), 403, 'forbidden', "$path[$_], wrong password") for 0 .. 2;
    is_limited($ask->($_, $password), "$_: the account's attempts are used up") for @path;
    is_limited($people->login_response($ann, local => address()), 'they are those of the login');
    is_status($server->request(GET => '/api/v1/user/me', token => $session->{token}), 200, 'what asks for no password goes on');
};

subtest 'an address that somebody wants to have' => sub {
    my $email = new_email();
    my $ask   = sub ($person, $to) {
        my $session = $people->session({ username => $person, password => $password }, local => address());
        return $server->request(
            POST  => '/api/v1/user/email',
            token => $session->{token},
            local => address(),
            json  => { password => $password, email => $to }
        );
    };
    my @name = map { ($server->create_user)[0] } 1 .. 4;
    is_status($ask->($name[$_], $email), 200, "written to, $_") for 0 .. 2;
    is_limited($ask->($name[3], uc $email), 'no more, whoever asks', 3600);
    is_limited($server->request(POST => $account{register}{path}, local => address(), json => $account{register}{body}->($email)),
        'by registering neither', 3600);
    is_status($ask->($name[3], new_email()), 200, 'another address');
};

subtest 'behind a proxy' => sub {
    my ($proxy, $second) = ('127.0.1.1', '127.0.2.1');
    my $number = 0;
    my $ask    = sub ($forwarded, $from = $proxy) {
        my @header = ref $forwarded ? map { ('X-Forwarded-For' => $_) } @$forwarded : ('X-Forwarded-For' => $forwarded);
        wrong('proxied ' . ++$number, local => $from, headers => \@header);
    };
    is_error($ask->('192.0.2.1'), 401, 'unauthorized', 'a client behind a proxy') for 1 .. 3;
    is_limited($ask->('192.0.2.1'), 'the fourth of this client');
    is_error($ask->('192.0.2.2'), 401, 'unauthorized', 'another client behind the same proxy');
    is_limited($ask->('198.51.100.7, 192.0.2.1'),       'what stands left of it is not believed');
    is_limited($ask->([ '198.51.100.7', '192.0.2.1' ]), 'nor in an earlier header');
    is_limited($ask->("192.0.2.1, $second"),            'a trusted hop is passed over');
    is_limited($ask->("198.51.100.8, 198.51.100.9, 192.0.2.1,$second , 127.0.1.77"), 'so are several');
    is_limited($ask->('192.0.2.1', $second),                                         'from the second proxy, too');
    is_limited($ask->('192.0.2.1:5000'),                                             'with a port, too');
    is_limited($ask->(' 192.0.2.1 '),                                                'with blanks, too');
    is_error($ask->('2001:db8::1'), 401, 'unauthorized', 'an IPv6 client') for 1 .. 3;
    is_limited($ask->('2001:DB8:0::1'), 'the same in other letters');
    is_limited($ask->('2001:db8::77'),  'another address of the same network of 64 bits');

    my $stranger = address();
    is_error($ask->("203.0.113.$_", $stranger), 401, 'unauthorized', 'not believed from a stranger') for 1 .. 3;
    is_limited($ask->('203.0.113.4', $stranger), 'the stranger is limited by its own address');
    is_error($ask->($stranger, '127.0.1.9'), 429, 'rate_limited',
        'the same address told by a proxy is the same client');
    is_error($ask->($_), 401, 'unauthorized', "X-Forwarded-For '$_' is none: the proxy counts")
        for 'unknown', '', '999.1.1.1';
    is_limited($ask->('_hidden'), 'the proxy itself is limited then');
    ok $server->log_like(qr/X-Forwarded-For, which is not believed: .* server\.trusted_proxies/), 'the log says once that a stranger on this machine forwards';
};

subtest 'over hosts and restarts' => sub {
    my $second = Verstak::Server->new(postgres => $pg, config => \%config);
    my $from   = address();
    is_error(wrong('x1', local => $from),                    401, 'unauthorized', 'first host');
    is_error(wrong('x2', local => $from, server => $second), 401, 'unauthorized', 'second host');
    is_error(wrong('x3', local => $from),                    401, 'unauthorized', 'first host');
    is_limited(wrong('x4', local => $from, server => $second), 'the second host knows');
    $second->restart;
    is_limited(wrong('x5', local => $from, server => $second), 'after a restart, too');
};

# What the server had no time to look at is no attempt: else whoever keeps it busy locks the others out.
subtest 'a password that was not checked does not count' => sub {
    my $busy = Verstak::Server->new(
        postgres => $pg,
        config   => { %config, 'server.workers' => 1, 'password.cost' => 15, 'password.queue' => 1 }
    );
    my $from = address();
    my @flood;
    for my $number (1 .. 2) {    # one is hashed, one waits
        push @flood, my $connection = $busy->connect(local => address());
        $connection->send_request(POST => '/api/client/pair', json => { login => "flood $number", password => 'x' });
        Verstak::Wait::pause(0.3);
    }
    is_error(pair($user[11], $password, local => $from, server => $busy), 503, 'unavailable', "busy, try $_") for 1 .. 6;
    is $_->response->status, 401, 'the flood is answered' for @flood;
    is_json_answer(pair($user[11], $password, local => $from, server => $busy), 'then the account pairs');
};

subtest 'the window ends' => sub {
    my $quick = Verstak::Server->new(
        config => {
            'attempts.pair'         => 2,
            'attempts.pair_window'  => '2s',
            'attempts.login'        => 2,
            'attempts.login_window' => '2s',
            'attempts.admin'        => 2,
            'attempts.admin_window' => '2s',
            'attempts.register'        => 2,
            'attempts.register_window' => '2s',
            'attempts.reset'           => 2,
            'attempts.reset_window'    => '2s',
        }
    );
    my ($user) = $quick->create_user;
    my %ask = (
        pair => sub {
            $quick->request(
                POST  => '/api/client/pair',
                local => '127.0.0.5',
                json  => { login => $user, password => shift }
            );
        },
        test => sub {
            $quick->request(
                POST  => '/api/auth/test',
                local => '127.0.0.5',
                json  => { username => $user, password => shift }
            );
        },
        admin => sub {
            $quick->request(
                POST  => '/admin/login',
                local => '127.0.0.5',
                form  => { username => $Verstak::Server::ADMIN, password => shift }
            );
        },
    );
    my $soon = Verstak::People->new($quick);
    my $person = $soon->sign_up;
    my $post = sub ($path, %field) { $quick->request(POST => $path, local => '127.0.0.6', json => \%field) };
    my %open = (
        register => sub { $post->('/api/v1/auth/register', username => Verstak::Server::next_name('q'), email => Verstak::Server::next_name('q') . '@example.org', password => 'long enough') },
        forgot   => sub { $post->('/api/v1/auth/forgot', email => $person->{email}) },
        login    => sub { $post->('/api/v1/auth/login', username => $person->{username}, password => $person->{password}) },
        reset    => sub { $post->('/api/v1/auth/reset', token => 'ab' x 32, new_password => 'long enough') },
    );
    for my $what (sort keys %open) {
        my $limited = wait_until(10, sub { my $r = $open{$what}->(); $r->status == 429 ? $r : undef });
        is_limited($limited, "$what is limited", 2);
        my $start = time;
        ok wait_until(10, sub { $open{$what}->()->status != 429 }), "$what: goes on";
        cmp_ok time - $start, '<', 4, 'when the window has ended, although it was tried meanwhile';
    }
    for my $what (sort keys %ask) {
        my $limited = wait_until(10, sub { my $r = $ask{$what}->('wrong'); $r->status == 429 ? $r : undef });
        is_limited($limited, "$what is limited", 2);
        my $right = $what eq 'admin' ? $Verstak::Server::ADMIN_PASSWORD : $password;
        my $start = time;
        ok wait_until(10, sub { $ask{$what}->($right)->status == 200 }), "$what: the right password works again";
        cmp_ok time - $start, '<', 4, 'when the window has ended, although it was tried meanwhile';
    }
};

done_testing;
