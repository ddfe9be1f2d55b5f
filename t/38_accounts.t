# Accounts as people have them: registration, confirmation by programs and browsers, login, forgotten passwords, another
# address, another password, the end of it all. Tokens are read out of the outbox, where the mailer would take them.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA qw(sha256);
use Encode      qw(decode_utf8);
use Test::More;
use Verstak::Contract;
use Verstak::People;
use Verstak::Postgres;
use Verstak::Processes qw(slurp);
use Verstak::Server;
use Verstak::Wait qw(wait_until);

my $pg     = Verstak::Postgres->new;
my %config = (
    'log.level'              => 'debug',
    'server.trusted_proxies' => ['127.0.1.1'],
    'retention.interval'     => '200ms',
);
my $server = Verstak::Server->new(postgres => $pg, config => \%config);
my $people = Verstak::People->new($server);
my $time   = qr/\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\z/a;
my %html   = (headers => [ Accept => 'text/html,application/xhtml+xml,*/*;q=0.8' ]);
my $guess  = 'ab' x 32;

sub confirm ($token, %option) { return $people->post('/api/v1/auth/confirm', { token => $token }, %option) }

sub reset_with ($token, $password, %option) {
    return $people->post('/api/v1/auth/reset', { token => $token, new_password => $password }, %option);
}
sub forgot ($email, %option) { return $people->post('/api/v1/auth/forgot', { email => $email }, %option) }
sub me     (%option)         { return $server->request(GET => '/api/v1/user/me', %option) }

# How many rows there are of all that an account is made of.
sub rows () {
    return join ' ', map { "$_=" . $people->value("SELECT count(*) FROM $_") }
        qw(users user_sessions email_tokens email_outbox devices vaults);
}

sub set ($sql, @bind) {
    my $rows = $people->dbh->do($sql, undef, @bind);
    $rows > 0 or die "no row is touched by: $sql\n";
    return;
}

sub age_token ($token, $interval) {
    my $statement =
        $people->dbh->prepare("UPDATE email_tokens SET expires_at = expires_at - '$interval'::interval WHERE token_hash = ?");
    $statement->bind_param(1, sha256($token), { pg_type => DBD::Pg::PG_BYTEA() });
    return $statement->execute == 1 || die "no such token\n";
}

subtest 'registration' => sub {
    my $ann = $people->person('Ann');
    my $response = $people->register($ann, headers => [ 'Accept-Language' => 'ru-RU,ru;q=0.9,en;q=0.5' ]);
    is_deeply is_json_answer($response, 'register'), { status => 'confirmation_sent' }, 'confirmation_sent';
    my $mail = $people->mail(confirm => $ann->{email});
    ok $mail, 'an e-mail waits';
    is $mail->{locale},      'ru',     'in the language of the browser';
    is $mail->{state},       'queued', 'it is queued';
    like $mail->{secret},    qr/\A[0-9a-f]{64}\z/, 'with a token';
    ok !$people->value(q{SELECT confirmed_at FROM users WHERE name = 'Ann'}), 'the account is not confirmed';
    is_error($people->login_response($ann), 403, 'forbidden', 'a login', 'email not confirmed');
    is_error($people->login_response({ %$ann, password => 'wrong password' }), 401, 'unauthorized', 'with a wrong password');
    is_error($people->post('/api/client/pair', { login => 'ann', password => $ann->{password} }),
        403, 'forbidden', 'pairing', 'email not confirmed');
    ok !grep({ /\Q$mail->{secret}\E/ } map { $_->[0] } @{ $people->dbh->selectall_arrayref('SELECT t::text FROM email_tokens t') }),
        'the table of tokens has only its hash';
    like $people->value(q{SELECT password_hash FROM users WHERE name = 'Ann'}), qr/\A\$2b\$04\$/, 'the password is bcrypt';

    my $before = rows();
    for my $taken ({ username => 'ANN' }, { email => 'ANN@Example.org' }, {}) {
        my $other = { %{ $people->person }, ($taken->{username} || $taken->{email}) ? () : %$ann, %$taken };
        is_error($people->register($other), 409, 'conflict', 'taken: ' . (join(' ', %$taken) || 'both'));
    }
    my $new = $people->person;
    is_error($people->register({ %$new, $_->[0] => $_->[1] }), 400, 'invalid_request', "$_->[0]: $_->[2]", @$_[ 3 .. $#$_ ])
        for [ password => 'x' x 7, '7 bytes', 'PASSWORD_TOO_SHORT' ],
        [ password => 'x' x 257, '257 bytes', 'PASSWORD_TOO_LONG' ],
        [ password => 'ж' x 129, '258 bytes in 129 letters', 'PASSWORD_TOO_LONG' ],
        [ password => '', 'empty', 'PASSWORD_TOO_SHORT' ],
        [ password => 5, 'a number' ], [ username => [], 'an array' ], [ email => {}, 'an object' ],
        [ username => undef, 'null' ], [ email => undef, 'null' ], [ username => 'a@b', 'an address' ],
        [ username => ' x', 'a blank' ], [ username => "a\nb", 'a line break' ], [ username => 'x' x 65, '65 bytes' ],
        [ email => 'x', 'no address' ], [ email => "a\@example.org\r\nBcc: b\@example.org", 'a second header' ],
        [ email => 'a b@example.org', 'a blank' ], [ email => 'x' x 250 . '@e.org', '256 bytes' ],
        [ email => '"a"@example.org', 'quoted' ], [ email => 'a@b@example.org', 'two signs' ];
    is_error($server->request(POST => '/api/v1/auth/register', body => '{"username":"a"'), 400, 'invalid_json', 'half an object');
    is_error($server->request(POST => '/api/v1/auth/register', body => '{} {}'), 400, 'trailing_json', 'two objects');
    is_error($server->request(POST => '/api/v1/auth/register', form => { %$new{qw(username email password)} }),
        400, 'invalid_json', 'a form');
    is rows(), $before, 'nothing of all this left a row';

    for my $length (8, 256) {
        my $person = $people->person("bytes$length", password => 'ж' x ($length / 2));
        is_json_answer($people->register($person), "a password of $length bytes");
    }
    is_json_answer(
        $server->request(
            POST => '/api/v1/auth/register',
            body => Verstak::HTTP::encode_json({ %{ $people->person }{qw(username email password)} }),
            type => $_
        ),
        "Content-Type '$_' will do"
    ) for 'text/plain', 'application/x-www-form-urlencoded', 'nonsense';
    is_json_answer($people->register($people->person('Жанна', email => 'zh@example.org')), 'a name of any letters');
    is_error($people->register($people->person('ЖАННА', email => 'zh2@example.org')), 409, 'conflict', 'in capitals, too');
    is $people->mail(confirm => 'zh@example.org')->{locale}, 'en', 'without Accept-Language it is English';
};

subtest 'an account that nobody confirms' => sub {
    my ($first, $second) = ($people->person('late'), $people->person('late', email => 'second@example.org'));
    is_json_answer($people->register($first), 'first');
    is_error($people->register($second), 409, 'conflict', 'it holds its name');
    my $token = $people->secret(confirm => $first->{email});
    set(q{UPDATE users SET created_at = created_at - interval '47 hours' WHERE name = 'late'});
    is_error($people->register($second), 409, 'conflict', 'for 47 hours, too');
    set(q{UPDATE users SET created_at = created_at - interval '2 hours' WHERE name = 'late'});
    is_json_answer($people->register($second), 'not after 48 hours');
    is_error(confirm($token), 400, 'invalid_request', "the first one's link is dead");
    is_json_answer(confirm($people->secret(confirm => $second->{email})), 'the second one is confirmed');
    set(q{UPDATE users SET created_at = created_at - interval '1 year' WHERE name = 'late'});
    is_error($people->register($first), 409, 'conflict', 'a confirmed account holds its name for good');
};

subtest 'registration is closed' => sub {
    my $closed = Verstak::Server->new(postgres => $pg, config => { %config, 'server.registration' => 'closed' });
    my $before = rows();
    my $register = sub ($of) { $of->request(POST => '/api/v1/auth/register', json => { %{ $people->person }{qw(username email password)} }) };
    is_error($register->($closed), 403, 'forbidden', 'by the configuration', 'registration is closed');
    is rows(), $before, 'nothing is written';
    set(q{INSERT INTO settings (name, value) VALUES ('registration', 'open')});
    is_error($register->($closed), 403, 'forbidden', 'which wins over the database');
    set(q{UPDATE settings SET value = 'closed' WHERE name = 'registration'});
    is_error($register->($server), 403, 'forbidden', 'by the database', 'registration is closed');
    my $open = Verstak::Server->new(postgres => $pg, config => { %config, 'server.registration' => 'open' });
    is_json_answer($register->($open), 'open by the configuration, whatever the database says');
    set(q{DELETE FROM settings WHERE name = 'registration'});
    is_json_answer($register->($server), 'open again');
    $_->stop for $closed, $open;    # one of them may have the janitor's lease, and it has other files
};

subtest 'confirmation by a program' => sub {
    for my $way (
        [ 'GET'         => sub ($token) { $server->request(GET => "/api/v1/auth/confirm?token=$token") } ],
        [ 'POST JSON'   => sub ($token) { confirm($token) } ],
        [ 'POST a form' => sub ($token) { $server->request(POST => '/api/v1/auth/confirm', form => { token => $token }) } ],
        [
            'POST JSON that is called a form' => sub ($token) {
                confirm($token, type => 'application/x-www-form-urlencoded');
            }
        ],
        )
    {
        my ($what, $use) = @$way;
        my $person = $people->person;
        is_json_answer($people->register($person), "$what: register");
        my $token = $people->secret(confirm => $person->{email});
        is_status($server->request(HEAD => "/api/v1/auth/confirm?token=$token"), 303, "$what: HEAD does not confirm");
        is_error($people->login_response($person), 403, 'forbidden', "$what: not confirmed yet");
        is_deeply is_json_answer($use->($token), $what), { status => 'confirmed' }, "$what: confirmed";
        is_json_answer($people->login_response($person), "$what: then the login works");
        is_error($use->($token), 400, 'invalid_request', "$what: the second time");
    }
    is_error($server->request(GET => '/api/v1/auth/confirm'), 400, 'invalid_request', 'no token');
    is_error(confirm(undef),    400, 'invalid_request', 'token null');
    is_error(confirm(7),        400, 'invalid_request', 'token as number');
    is_error(confirm($guess),   400, 'invalid_request', 'a guessed token');
    is_error(confirm('x'),      400, 'invalid_request', 'no token at all');
};

subtest 'confirmation by a browser' => sub {
    my $person = $people->person;
    $people->register($person);
    my $token    = $people->secret(confirm => $person->{email});
    my $link     = "/api/v1/auth/confirm?token=$token";
    my $redirect = $server->request(GET => $link, %html);
    is_status($redirect, 303, 'the link leads on');
    my $page_path = Verstak::People::resolve($link, $redirect->header('Location'));
    is $page_path, "/confirm?token=$token", 'to the page';
    my $page = $server->request(GET => $page_path, %html);
    is_status($page, 200, 'the page');
    is_error($people->login_response($person), 403, 'forbidden', 'looking at it confirms nothing');
    for my $response ($redirect, $page) {
        is $response->header('Referrer-Policy'), 'no-referrer', 'the token goes into no Referer';
        is $response->header('Cache-Control'),   'no-store',    'nor into a cache';
    }
    unlike $page->body, qr/<script|style=|onclick|https?:/i, 'no script, no inline style, nothing from elsewhere';
    like $page->header('Content-Security-Policy'), qr/default-src 'self'.*form-action 'self'/, 'its policy';
    my ($action, $fields) = $people->form($page_path, $page);
    is $action, '/api/v1/auth/confirm', 'its form leads to the POST';
    my $done = $server->request(POST => $action, form => $fields, %html);
    is_status($done, 200, 'the button');
    like $done->header('Content-Type'), qr{\Atext/html}, 'answers with a page';
    like $done->body, qr/address is confirmed/, 'that says so';
    is_json_answer($people->login_response($person), 'then the login works');
    my $again = $server->request(POST => $action, form => $fields, %html);
    is_status($again, 400, 'the button again');
    like $again->body, qr/link does not work/, 'says so';
    my ($css) = $page->body =~ /<link rel="stylesheet" href="([^"]+)">/;
    my $style = $server->request(GET => Verstak::People::resolve($page_path, $css));
    is_status($style, 200, 'the style sheet');
    like $style->header('Content-Type'), qr{\Atext/css}, 'is one';
    ($css) = $done->body =~ /<link rel="stylesheet" href="([^"]+)">/;
    is Verstak::People::resolve($action, $css), '/assets/page.css', 'the result finds it, too';
    my $russian = $server->request(GET => $page_path, headers => [ Accept => 'text/html', 'Accept-Language' => 'ru,en;q=0.8' ]);
    like decode_utf8($russian->body), qr/<html lang="ru">.*Подтвердить/s, 'in Russian';

    for my $evil ('%22%3E%3Cscript%3Ealert(1)%3C/script%3E', "$token%0d%0aSet-Cookie:%20a=b", uc $token, "${token}0", '', 'x' x 3000) {
        my $shown    = substr $evil, 0, 30;
        my $response = $server->request(GET => "/confirm?token=$evil", %html);
        is_status($response, 400, "/confirm with token '$shown'");
        unlike $response->body, qr/alert|<form|Set-Cookie|xxxx/, 'does not get into the page';
        is_status($server->request(GET => "/reset?token=$evil", %html), 400, '/reset, too');
        my $sent = $server->request(GET => "/api/v1/auth/confirm?token=$evil", %html);
        is_status($sent, 303, 'a browser is sent to the page');
        is $sent->header('Location'), '../../../confirm', 'without it';
        ok !$sent->header('Set-Cookie'), 'and gets no cookie';
    }
};

subtest 'tokens that are old, used or of another kind' => sub {
    my $person = $people->person;
    $people->register($person);
    my $confirm = $people->secret(confirm => $person->{email});
    forgot($person->{email});
    my $reset = $people->secret(reset => $person->{email});
    is_error(confirm($reset), 400, 'invalid_request', 'a reset token does not confirm');
    is_error(reset_with($confirm, 'another password'), 400, 'invalid_request', 'a confirmation token does not reset');
    age_token($confirm, '48 hours');
    is_error(confirm($confirm), 400, 'invalid_request', 'a confirmation token after 48 hours');
    age_token($reset, '1 hour');
    is_error(reset_with($reset, 'another password'), 400, 'invalid_request', 'a reset token after an hour');
    is_error($people->login_response($person), 403, 'forbidden', 'nothing came of it');
    forgot($person->{email});
    age_token($people->secret(reset => $person->{email}), '59 minutes');
    is_json_answer(reset_with($people->secret(reset => $person->{email}), $person->{password}), 'a reset token of 59 minutes');

    my $other   = $people->sign_up;
    my %session = %{ $people->session($other) };
    my $device  = $server->pair($other->{username}, $other->{password});
    is_error(confirm($_->[1]), 400, 'invalid_request', "$_->[0] does not confirm"),
        is_error(reset_with($_->[1], 'another password'), 400, 'invalid_request', "$_->[0] does not reset")
        for [ 'a session' => $session{token} ], [ 'a CSRF token' => $session{csrf_token} ], [ 'a device' => $device ], [ 'a guess' => $guess ];
};

subtest 'login' => sub {
    my $bob    = $people->sign_up('Bob');
    my $answer = is_json_answer($people->login_response($bob), 'login');
    has_types($answer, { token => 'string', user_id => 'number', csrf_token => 'string', expires_at => 'string' }, 'its fields');
    like $answer->{token},      qr/\A[0-9a-f]{64}\z/, 'token';
    like $answer->{expires_at}, $time,                'expires_at';
    is $answer->{user_id}, $bob->{id}, 'user_id';
    is_json_answer($people->login_response({ %$bob, username => $_ }), "as '$_'") for 'bob', 'BOB', 'bob@example.org', 'BOB@EXAMPLE.ORG';
    my $wrong   = $people->login_response({ %$bob, password => 'wrong password' });
    my $unknown = $people->login_response({ %$bob, username => 'nobody of this name' });
    is_error($_, 401, 'unauthorized', 'refused') for $wrong, $unknown;
    is $wrong->body, $unknown->body, 'one answer for a wrong password and an unknown name';
    ok !$_->header('Set-Cookie'), 'and no cookie' for $wrong, $unknown;
    is_error($people->login_response({ %$bob, $_->[0] => $_->[1] }), 400, $_->[2], "$_->[0]: " . ($_->[3]))
        for [ username => undef, 'invalid_request', 'null' ], [ password => undef, 'invalid_request', 'null' ],
        [ username => 5, 'invalid_request', 'number' ], [ password => [], 'invalid_request', 'array' ],
        [ username => 'x' x 321, 'field_too_long', '321 bytes' ];

    my $cookie = sub (%option) { ($people->login_response($bob, %option)->header('Set-Cookie'))[0] };
    like $cookie->(), qr/\Auser_session=[0-9a-f]{64}; Path=\/; Max-Age=86400; HttpOnly; SameSite=Lax\z/, 'the cookie';
    like $cookie->(local => '127.0.1.1', headers => [ 'X-Forwarded-Proto' => 'https' ]), qr/; Secure\z/, 'Secure behind HTTPS';
    unlike $cookie->(headers => [ 'X-Forwarded-Proto' => 'https' ]), qr/Secure/, 'not when the peer is not trusted';
    is_error($people->login_response($bob, headers => [ 'Sec-Fetch-Site' => 'cross-site' ]), 403, 'csrf_invalid', 'from another site');
    is_json_answer($people->login_response($bob, headers => [ 'Sec-Fetch-Site' => $_ ]), "Sec-Fetch-Site: $_") for qw(same-origin same-site none);

    my $me = is_json_answer(me(token => $answer->{token}), 'me with the bearer token');
    is_deeply [ @$me{qw(user_id username email new_email locale)} ], [ $bob->{id}, 'Bob', 'bob@example.org', '', 'en' ], 'who it is';
    like $me->{created_at}, $time, 'created_at';
    is $me->{expires_at}, $answer->{expires_at}, 'when the session ends';
    is $me->{csrf_token}, $answer->{csrf_token}, 'the CSRF token once more';
    is_json_answer(me(cookie => "user_session=$answer->{token}"), 'me with the cookie');
    is_error(me(cookie => "admin_session=$answer->{token}"), 401, 'unauthorized', 'not as the cookie of an admin');
    is_error($server->request(GET => '/api/client/me', token => $answer->{token}), 401, 'unauthorized', 'nor as a device');
    is_error($server->request(GET => "/api/v1/user/me?token=$answer->{token}"), 401, 'unauthorized', 'nor in the URL');

    $server->admin(POST => "/admin/api/users/$bob->{id}/block");
    is_error($people->login_response($bob), 403, 'forbidden', 'a blocked account', 'account blocked');
    is_error($people->login_response({ %$bob, password => 'wrong password' }), 401, 'unauthorized', 'a blocked one, wrong password');
};

subtest 'a forgotten password' => sub {
    my $eve     = $people->sign_up('Eve');
    my $session = $people->session($eve);
    my $device  = $server->pair('eve', $eve->{password});
    my $known   = is_json_answer(forgot('EVE@example.org'), 'a known address');
    my $unknown = is_json_answer(forgot('nobody@example.org'), 'an unknown one');
    is_deeply $known,   { status => 'if email exists, reset link sent' }, 'the words of the contract';
    is_deeply $unknown, $known, 'for both';
    is_error(forgot($_), 400, 'invalid_request', 'address ' . (($_ // 'null') =~ s{\n}{ }r)) for undef, 'x', "a\@example.org\nX";
    my $token  = $people->secret(reset => 'EVE@example.org');
    my $path   = "/reset?token=$token";
    my $page   = $server->request(GET => $path, %html);
    is_status($page, 200, 'the page of the link');
    my ($action, $fields) = $people->form($path, $page, new_password => 'short');
    is $action, '/api/v1/auth/reset', 'its form leads to the POST';
    my $short = $server->request(POST => $action, form => $fields, %html);
    is_status($short, 400, 'a password that is too short');
    like $short->body, qr/too short/, 'the page says so';
    ($action, $fields) = $people->form($action, $short, new_password => 'x' x 257);
    is $action, '/api/v1/auth/reset', 'and has the form again';
    like $server->request(POST => $action, form => $fields, %html)->body, qr/too long/, 'one that is too long';
    is_error(reset_with($token, 'short'),   400, 'invalid_request', 'a program, too short', 'PASSWORD_TOO_SHORT');
    is_error(reset_with($token, 'x' x 257), 400, 'invalid_request', 'a program, too long',  'PASSWORD_TOO_LONG');
    is_error(reset_with($token, undef),     400, 'invalid_request', 'none');
    is_error(reset_with('', 'long enough'), 400, 'invalid_request', 'no token');
    is_json_answer($people->login_response($eve), 'the old password is still the one');

    my $new = { %$eve, password => 'the new password' };
    my $done = $server->request(POST => $action, form => { %$fields, new_password => $new->{password} }, %html);
    is_status($done, 200, 'a good one');
    like $done->body, qr/Password changed/, 'the page says so';
    is_error(me(token => $session->{token}), 401, 'unauthorized', 'the session has ended');
    is_json_answer($server->request(GET => '/api/client/me', token => $device), 'the device goes on');
    is_error($people->login_response($eve), 401, 'unauthorized', 'the old password is none any more');
    is_json_answer($people->login_response($new), 'the new one is');
    is_error(reset_with($token, 'yet another password'), 400, 'invalid_request', 'the link works once');
    ok $people->mail(password_changed => $eve->{email}), 'an e-mail tells of it';

    my @link = map { forgot($eve->{email}); $people->secret(reset => $eve->{email}) } 1 .. 2;
    is_deeply is_json_answer(reset_with($link[1], $eve->{password}), 'the second of two links'), { status => 'password reset' }, 'works';
    is_error(reset_with($link[0], 'x' x 10), 400, 'invalid_request', 'which withdraws the first');

    my $fresh = $people->person;
    $people->register($fresh);
    forgot($fresh->{email});
    is_json_answer(reset_with($people->secret(reset => $fresh->{email}), $fresh->{password}), 'of an account that is not confirmed');
    is_json_answer($people->login_response($fresh), 'it is confirmed now: the link came by e-mail');

    my $later = $people->person;
    forgot($later->{email});
    my $early = $people->secret(reset => $later->{email});
    $people->register($later);
    is_error(reset_with($early, 'the password of another'), 400, 'invalid_request', 'a link that is older than the account');
    is_error($people->login_response($later), 403, 'forbidden', 'which is as it was');
};

subtest 'another address' => sub {
    my $kim     = $people->sign_up('kim');
    my $other   = $people->sign_up('kims-neighbour');
    my %session = $people->login($kim);
    my $change  = sub ($email, %field) {
        $people->post('/api/v1/user/email', { password => $kim->{password}, email => $email, %field }, %session);
    };
    my $before = rows();
    is_error($change->('kim@new.example', password => 'wrong password'), 403, 'forbidden', 'a wrong password', 'wrong password');
    is_error($change->('kim@new.example', password => undef), 400, 'invalid_request', 'no password');
    is_error($change->($_), 400, 'invalid_request', 'address ' . (($_ // 'null') =~ s{\n}{ }r)) for undef, 'x', "a\@b.c\nX";
    is_error($change->(uc $other->{email}), 409, 'conflict', 'an address that is taken');
    is rows(), $before, 'nothing came of it';
    is_deeply is_json_answer($change->('Kim@new.example'), 'change'), { status => 'confirmation_sent' }, 'confirmation_sent';
    my $token = $people->secret(address_confirm => 'Kim@new.example');
    is_deeply [ @{ is_json_answer(me(%session), 'me') }{qw(email new_email)} ], [ 'kim@example.org', 'Kim@new.example' ], 'the old one counts, the new one waits';
    is_error($people->login_response({ %$kim, username => 'kim@new.example' }), 401, 'unauthorized', 'no login with it yet');
    is_json_answer(confirm($token), 'confirmed');
    is_deeply [ @{ me(%session)->json }{qw(email new_email)} ], [ 'Kim@new.example', '' ], 'now it counts';
    is_json_answer($people->login_response({ %$kim, username => 'kim@new.example' }), 'a login with it');
    is_error($people->login_response({ %$kim, username => 'kim@example.org' }), 401, 'unauthorized', 'none with the old one');
    my $notice = $people->mail(address_changed => 'kim@example.org');
    ok $notice, 'the old address is told';
    is $notice->{secret}, undef, 'without a token';
    is_error(confirm($token), 400, 'invalid_request', 'the link works once');
    is_json_answer($people->register($people->person('newcomer', email => 'kim@example.org')), 'the old address is free');

    $change->('kim@third.example');
    $token = $people->secret(address_confirm => 'kim@third.example');
    is_json_answer($people->register($people->person('quick', email => 'KIM@third.example')), 'somebody takes the new address first');
    is_json_answer(confirm($people->secret(confirm => 'KIM@third.example')), 'and confirms it');
    is_error(confirm($token), 400, 'invalid_request', 'then its link changes nothing');
    is me(%session)->json->{email}, 'Kim@new.example', 'the address is as it was';
};

subtest 'another password' => sub {
    my $lea   = $people->sign_up('lea');
    my %here  = $people->login($lea);
    my %there = $people->login($lea);
    my $device = $server->pair('lea', $lea->{password});
    forgot($lea->{email});
    my $link   = $people->secret(reset => $lea->{email});
    my $change = sub (%field) {
        $people->post('/api/v1/user/password', { password => $lea->{password}, new_password => 'the password of tomorrow', %field }, %here);
    };
    is_error($change->(password     => 'wrong password'), 403, 'forbidden',       'a wrong password', 'wrong password');
    is_error($change->(password     => undef),            400, 'invalid_request', 'no password');
    is_error($change->(new_password => 'short'),          400, 'invalid_request', 'too short', 'PASSWORD_TOO_SHORT');
    is_error($change->(new_password => 'x' x 257),        400, 'invalid_request', 'too long',  'PASSWORD_TOO_LONG');
    is_json_answer(me(%there), 'so far both sessions go on');
    is_deeply is_json_answer($change->(), 'change'), { status => 'password changed' }, 'changed';
    is_json_answer(me(%here), 'this session goes on');
    is_error(me(%there), 401, 'unauthorized', 'the other has ended');
    is_json_answer($server->request(GET => '/api/client/me', token => $device), 'the device goes on');
    is_error($people->login_response($lea), 401, 'unauthorized', 'the old password is none any more');
    is_json_answer($people->login_response({ %$lea, password => 'the password of tomorrow' }), 'the new one is');
    is_error(reset_with($link, 'a thief sets this'), 400, 'invalid_request', 'a reset link from before is withdrawn');
    ok $people->mail(password_changed => $lea->{email}), 'an e-mail tells of it';
};

subtest 'devices' => sub {
    my $max     = $people->sign_up('max');
    my %session = $people->login($max);
    my $list    = sub { is_json_answer($server->request(GET => '/api/v1/user/devices', %session), 'devices') };
    is_deeply $list->(), [], 'none at first';
    my $laptop = $server->pair_device('max', $max->{password}, device_name => 'laptop', client_version => '1.2');
    my $phone  = $server->pair_device('max', $max->{password}, device_name => 'phone', vault_id => 'elsewhere');
    my %device = map { $_->{name} => $_ } @{ $list->() };
    is_deeply [ sort keys %device ], [qw(laptop phone)], 'then both';
    is $device{laptop}{id}, $laptop->{device_id}, 'id';
    is $device{laptop}{client_version}, '1.2', 'client_version';
    is $device{laptop}{revoked_at},     '',    'revoked_at';
    like $device{laptop}{created_at}, $time, 'created_at';
    has_types($device{phone}, { map { $_ => 'string' } qw(id name client_version last_seen revoked_at created_at) }, 'the fields of one');
    my $revoke = sub ($id, %field) {
        $people->post("/api/v1/user/devices/$id/revoke", { password => $max->{password}, %field }, %session);
    };
    my $foreign = $server->pair_device(my ($stranger) = $server->create_user, $Verstak::Server::PASSWORD);
    is_error($revoke->($phone->{device_id}, password => 'wrong password'), 403, 'forbidden', 'a wrong password', 'wrong password');
    is_error($revoke->($phone->{device_id}, password => undef), 400, 'invalid_request', 'no password');
    my $none = $revoke->('dev_' . '0' x 24);
    my $strange = $revoke->($foreign->{device_id});
    is_error($_, 404, 'not_found', 'a device of nobody or somebody else') for $none, $strange;
    is $none->body, $strange->body, 'one answer for both';
    is_json_answer($server->request(GET => '/api/client/me', token => $_->{device_token}), 'it goes on') for $phone, $foreign;
    is_deeply is_json_answer($revoke->($phone->{device_id}), 'revoke'), { status => 'revoked' }, 'revoked';
    is_error($server->request(GET => '/api/client/me', token => $phone->{device_token}), 401, 'unauthorized', 'it is revoked', 'device revoked');
    is_json_answer($server->request(GET => '/api/client/me', token => $laptop->{device_token}), 'the other goes on');
    like +(grep { $_->{name} eq 'phone' } @{ $list->() })[0]{revoked_at}, $time, 'the list says when';
};

subtest 'logging out' => sub {
    my $pat = $people->sign_up('pat');
    my %one = $people->login($pat);
    my %two = $people->login($pat);
    my $out = $server->request(POST => '/api/v1/user/logout', %one);
    is_deeply is_json_answer($out, 'logout'), { status => 'ok' }, 'ok';
    like $out->header('Set-Cookie'), qr/\Auser_session=; Path=\/; Max-Age=0;/, 'the browser forgets the cookie';
    is_error(me(%one), 401, 'unauthorized', 'the session has ended');
    is_json_answer(me(%two), 'the other goes on');
    my $session = $people->session($pat);
    is_json_answer($server->request(POST => '/api/v1/user/logout', token => $session->{token}), 'with the bearer token');
    is_error(me(token => $session->{token}), 401, 'unauthorized', 'it has ended');
    my %three = $people->login($pat);
    is_deeply is_json_answer($server->request(POST => '/api/v1/user/logout-all', %three), 'logout-all'), { status => 'ok', ended => 2 }, 'both ended';
    is_error(me(%$_), 401, 'unauthorized', 'ended') for \%two, \%three;
};

subtest 'the end of an account' => sub {
    my $zoe     = $people->sign_up('zoe');
    my %session = $people->login($zoe);
    my $other   = $people->sign_up;
    my $token   = $server->pair('zoe', $zoe->{password});
    my $keeper  = $server->pair($other->{username}, $other->{password});
    $server->push($token, map { Verstak::Server::op() } 1 .. 5);
    my $own    = $server->upload($token, "zoe's alone")->{sha256};
    my $shared = $server->upload($token, 'of both')->{sha256};
    $server->upload($keeper, 'of both');
    forgot($zoe->{email});
    my $link   = $people->secret(reset => $zoe->{email});
    my $delete = sub (%field) { $people->post('/api/v1/user/delete', { password => $zoe->{password}, %field }, %session) };
    is_error($delete->(password => 'wrong password'), 403, 'forbidden', 'a wrong password', 'wrong password');
    is_error($delete->(password => undef), 400, 'invalid_request', 'no password');
    is_json_answer(me(%session), 'it is still there');
    my $gone = $delete->();
    is_deeply is_json_answer($gone, 'delete'), { status => 'deleted' }, 'deleted';
    like $gone->header('Set-Cookie'), qr/\Auser_session=;.*Max-Age=0/, 'the browser forgets the session';
    is_error(me(%session), 401, 'unauthorized', 'the session has ended');
    is_error($server->request(GET => '/api/client/me', token => $token), 401, 'unauthorized', 'the device is unknown');
    is_error($people->login_response($zoe), 401, 'unauthorized', 'the account, too');
    is_error(reset_with($link, 'back from the dead'), 400, 'invalid_request', 'no link brings it back');
    my @table = map { $_->[0] } @{ $people->dbh->selectall_arrayref(
        q{SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'user_id' AND is_updatable = 'YES'}) };
    cmp_ok scalar @table, '>', 3, 'there are tables of what users own';
    is_deeply [ grep { $people->value("SELECT count(*) FROM $_ WHERE user_id = ?", $zoe->{id}) } @table ], [], 'and none has a row of this one';
    is $people->value('SELECT count(*) FROM email_outbox WHERE recipient = ? AND secret IS NOT NULL', $zoe->{email}), 0, 'no secret waits to be sent';
    my $file = sub ($sha256) { join '/', $server->data, 'blobs', substr($sha256, 0, 2), substr($sha256, 2, 2), $sha256 };
    ok wait_until(20, sub { !$people->value('SELECT count(*) FROM operations WHERE vault_id NOT IN (SELECT id FROM vaults)') && $people->value('SELECT count(*) FROM blobs WHERE NOT referenced') }),
        'the janitor removes its operations and references';
    ok -e $file->($own), 'the blob stays for its time of grace';
    set(q{UPDATE blobs SET touched_at = touched_at - interval '25 hours'});
    ok wait_until(20, sub { !-e $file->($own) }), 'then it goes';
    is_status($server->request(GET => "/api/v1/blobs/$shared", token => $keeper), 200, "another's blob of the same bytes stays");
    is_json_answer($people->register($people->person('zoe')), 'name and address are free');
};

# --- the work that is done, not the time that it takes ---------------------------------------------------------------

subtest 'known and unknown accounts are the same work' => sub {
    # PostgreSQL logs each statement, those in functions, too.
    my $telling = Verstak::Postgres->new(
        settings => {
            session_preload_libraries            => 'auto_explain',
            'auto_explain.log_min_duration'      => 0,
            'auto_explain.log_nested_statements' => 'on',
        }
    );
    my $quiet = Verstak::Server->new(
        postgres => $telling,
        config   => { 'server.workers' => 1, 'database.work_connections' => 1, 'log.level' => 'debug' }
    );
    my $person = Verstak::People->new($quiet)->sign_up('known');
    my $post   = sub ($path, %field) { $quiet->request(POST => $path, json => \%field) };
    my %ask    = (
        forgot => sub ($email) { $post->('/api/v1/auth/forgot', email    => $email) },
        login  => sub ($email) { $post->('/api/v1/auth/login',  username => $email, password => 'wrong password') },
        pair   => sub ($email) { $post->('/api/client/pair',    login    => $email, password => 'wrong password') },
        test   => sub ($email) { $post->('/api/auth/test',      username => $email, password => 'wrong password') },
    );
    my $steps_since = sub ($mark) { [ substr(slurp($quiet->log_file), $mark) =~ /request \w+: (\w+ -> \w+)$/mg ] };
    # Statements of the worker's connection since then; mailer and janitor have others.
    my $statements_since = sub ($from) {
        my $log = slurp($telling->log_file);
        my ($worker) = $log =~ /\[(\d+)\] LOG:  duration: [^\n]*\n\tQuery Text: [^:]*?\bregister_finish\(/ or die "no worker in PostgreSQL's log\n";
        my @text = substr($log, $from) =~ /\[$worker\] LOG:  duration: [^\n]*\n\tQuery Text: (.*?)\n\t[^\n]*\(cost=/sg;
        return [ map {s/\s+/ /gr} @text ];
    };
    for my $what (sort keys %ask) {
        my %seen;
        for my $email ('first@example.org', $person->{email}, 'nobody@example.org') {    # the first one prepares the statements
            my ($mark, $from) = ($quiet->log_mark, -s $telling->log_file);
            my $response = $ask{$what}->($email);
            # The audit row of a refusal is written after the answer.
            ok wait_until(10, sub { grep {/INSERT INTO audit_log/} @{ $statements_since->($from) } }), "$what: its audit row is written";
            $seen{$email} = {
                statements => $statements_since->($from),
                steps      => $steps_since->($mark),
                status     => $response->status,
                body       => $response->body
            };
        }
        my ($known, $unknown) = @seen{ $person->{email}, 'nobody@example.org' };
        cmp_ok scalar @{ $known->{statements} }, '>', 3, "$what: statements are seen";
        cmp_ok scalar @{ $known->{steps} },      '>', 1, "$what: steps are seen";
        is_deeply $unknown, $known, "$what: the same statements, steps and answer";
    }

    my %steps;
    for my $case ([ taken => 409, username => 'somebody', email => $person->{email} ], [ free => 200, username => 'body', email => 'body@example.org' ]) {
        my ($what, $status, %field) = @$case;
        my $mark = $quiet->log_mark;
        is_status($post->('/api/v1/auth/register', %field, password => 'long enough'), $status, "register, $what");
        $steps{$what} = $steps_since->($mark);
    }
    is_deeply $steps{taken}, $steps{free}, 'that an address is taken is found out only after the hashing';
    is scalar(grep {/-> work/} @{ $steps{taken} }), 1, 'which was done';
};

subtest 'rows of forgot' => sub {
    my $person = $people->sign_up;
    my $count  = sub { [ map { $people->value("SELECT count(*) FROM $_") } qw(email_tokens email_outbox audit_log users) ] };
    my $made   = sub ($email) {
        my $before = $count->();
        forgot($email);
        my $after = $count->();
        return [ map { $after->[$_] - $before->[$_] } 0 .. 3 ];
    };
    is_deeply $made->($person->{email}), [ 1, 1, 1, 0 ], 'a known address: a token, an e-mail, an audit row';
    is_deeply $made->('unknown@example.org'), [ 1, 1, 1, 0 ], 'an unknown one: the same';
    my ($known, $unknown) = map {
        my $mail = $people->mail(reset => $_);
        [ @$mail{qw(template locale state tries detail user_id)}, length $mail->{secret} ];
    } $person->{email}, 'unknown@example.org';
    is_deeply $unknown, $known, 'the e-mails look alike';
};

subtest 'the audit log' => sub {
    my %seen = map { $_->[0] => $_->[1] } @{ $people->dbh->selectall_arrayref(q{SELECT action, max(actor || ' ' || subject || ' ' || address || ' ' || detail) FROM audit_log GROUP BY action}) };
    ok $seen{$_}, "$_: $seen{$_}"
        for qw(user.register user.confirm user.login user.login.refused user.logout user.logout_all user.forgot user.reset user.password
        user.password.refused user.email.request user.email.refused user.email user.delete user.delete.refused device.revoke device.revoke.refused);
    is_deeply [ grep { $seen{$_} !~ /127\.0\.\d+\.\d+/ } grep {/\Auser\.(?!block|create)|refused/} sort keys %seen ], [], "each with the client's address";
};

subtest 'no secret in a log or a table' => sub {
    my @secret = $people->secrets;
    cmp_ok scalar @secret, '>', 50, 'there are enough of them';
    my $log = $server->log_text . slurp($pg->log_file);
    is_deeply [ grep { index($log, $_) >= 0 } @secret ], [], 'none is in the logs';
    my @table = map { $_->[0] } @{ $people->dbh->selectall_arrayref(q{SELECT tablename FROM pg_tables WHERE schemaname = 'public'}) };
    for my $table (@table) {
        my $columns = $table eq 'email_outbox' ? "(to_jsonb(t) - 'secret')::text" : 't::text';
        my $text = join "\n", map { $_->[0] // '' } @{ $people->dbh->selectall_arrayref("SELECT $columns FROM $table t") };
        is_deeply [ grep { index($text, $_) >= 0 } @secret ], [], "none is in $table";
    }
};

done_testing;
