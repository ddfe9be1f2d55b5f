# Settings that an admin changes at run time, and the test of the SMTP settings against a real SMTP server.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Encode       ();
use MIME::Base64 qw(encode_base64);
use Test::More;
use Time::HiRes qw(time);
use Verstak::Contract;
use Verstak::Server;
use Verstak::Smtp;
use Verstak::Wait qw(wait_for wait_until);

my $SECRET = 'Geheimnis "ж" 5&%';
my $FROM   = 'verstak@example.org';
my %EMPTY  = (
    smtp_host     => '',
    smtp_port     => 587,
    smtp_user     => '',
    smtp_security => 'starttls',
    smtp_from     => '',
    server_url    => '',
    password_set  => JSON::PP::false,
    configured    => JSON::PP::false,
    fault         => '',
    fixed         => [],
);

sub get ($server, $what)         { return is_json_answer($server->admin(GET => "/admin/api/$what"), "GET $what") }
sub set ($server, $what, %field) { return $server->admin(POST => "/admin/api/$what", json => \%field) }

sub set_ok ($server, $what, %field) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is_deeply is_json_answer(set($server, $what, %field), "POST $what " . join(' ', sort keys %field)),
        { status => 'ok' },
        'status';
}

# {name => value} of the table.
sub stored ($server) {
    return { map { @$_ } @{ $server->dbh->selectall_arrayref('SELECT name, value FROM settings') } };
}

sub audited ($server, $action) {
    return $server->dbh->selectrow_hashref('SELECT * FROM audit_log WHERE action = ? ORDER BY id DESC LIMIT 1',
        undef, $action);
}

# Everything that can be read from the database and the log.
sub leaks ($server) {
    my $dbh  = $server->dbh;
    my @text = ($server->log_text);
    for my $table (map { $_->[0] }
        @{ $dbh->selectall_arrayref('SELECT tablename FROM pg_tables WHERE schemaname = current_schema()') })
    {
        push @text, map { $_->[0] } @{ $dbh->selectall_arrayref("SELECT t::text FROM $table t") };
    }
    my $text = join "\n", @text;
    utf8::encode(my $bytes = $SECRET);
    my $base64 = encode_base64($bytes, '');
    return scalar grep { index($text, $_) >= 0 } $SECRET, $bytes, $base64, substr($base64, 0, -2), 'Geheimnis',
        unpack 'H*', $bytes;
}

subtest 'settings' => sub {
    my $server = Verstak::Server->new;
    my $now    = get($server, 'settings');
    is_deeply $now, { public_url => '', server_name => 'Verstak Sync Server', registration => 'open', fixed => [] },
        'at first';
    set_ok(
        $server, 'settings',
        public_url   => 'https://sync.example.org/verstak',
        server_name  => 'Наш "сервер"',
        registration => 'closed'
    );
    my %want = (
        public_url   => 'https://sync.example.org/verstak',
        server_name  => 'Наш "сервер"',
        registration => 'closed',
        fixed        => []
    );
    is_deeply get($server, 'settings'), \%want, 'every worker knows them' for 1 .. 6;
    my $audit = audited($server, 'settings.change');
    is_deeply [ @$audit{qw(actor address)} ], [ "admin:$Verstak::Server::ADMIN", '127.0.0.1' ],
        'the audit log says who it was';
    is_deeply [ sort split /, /, $audit->{detail} ], [qw(public_url registration server_name)], 'and what changed';
    is_error(
        $server->request(
            POST => '/api/v1/auth/register',
            json => { username => 'new', email => 'new@example.org', password => 'long enough' }
        ),
        403,
        'forbidden',
        'registration is closed'
    );
    set_ok($server, 'settings', server_name => 'Ours');
    is_deeply get($server, 'settings'), { %want, server_name => 'Ours' }, 'what is not given stays';
    is audited($server, 'settings.change')->{detail}, 'server_name', 'and is not in the audit log';
    my $rows = $server->dbh->selectrow_array('SELECT count(*) FROM audit_log');
    set_ok($server, 'settings', server_name => 'Ours', registration => 'closed');
    set_ok($server, 'settings');
    set_ok($server, 'settings', unknown => 'x', server_name => undef);
    is $server->dbh->selectrow_array('SELECT count(*) FROM audit_log'), $rows, 'what is as it was is no change';
    is_json_answer($server->admin(POST => '/admin/api/settings', form => { registration => 'open' }), 'as a form');
    is_json_answer(
        $server->request(
            POST => '/api/v1/auth/register',
            json => { username => 'new', email => 'new@example.org', password => 'long enough' }
        ),
        'registration is open'
    );
    my $before = stored($server);
    my %bad    = (
        public_url => [
            'x',             'ftp://x',     'http://',    'https:///x',
            'http://x/?q=1', 'http://x/#f', 'http://x y', 'http://x"y',
            "http://x\n",    'http://' . 'x' x 500
        ],
        server_name  => [ "a\nb", "a\r\nBcc: x\@y", 'x' x 101, "\x7f", "\x{85}" ],
        registration => [ 'x',    'OPEN', 'open ', '1' ],
    );

    for my $name (sort keys %bad) {
        is_error(set($server, 'settings', $name => $_),
            400, 'invalid_request', "$name '" . substr(s/[^ -~]/?/gr, 0, 20) . q{'}, qr/\A$name/)
            for @{ $bad{$name} };
        is_error(set($server, 'settings', $name => $_), 400, 'invalid_request', "$name as " . json_type($_))
            for 5, [], {}, JSON::PP::true;
        is_error(set($server, 'settings', $name => "a\0b"), 400, 'invalid_request', "U+0000 in $name");
        is_error(
            $server->admin(
                POST => '/admin/api/settings',
                type => 'application/x-www-form-urlencoded',
                body => "$name=$_"
            ),
            400,
            'invalid_request',
            "$name=$_ in a form"
        ) for 'a%00b', '%ff', '%4';
    }
    is_error(set($server, 'settings', server_name => 'Theirs', registration => 'x'),
        400, 'invalid_request', 'one good, one bad');
    is_error($server->admin(POST => '/admin/api/settings', body => '[]'), 400, 'invalid_json', 'no object');
    is_deeply stored($server), $before, 'none of these changed anything';
    set_ok($server, 'settings', public_url => '', server_name => '', registration => '');
    is_deeply get($server, 'settings'), $now, 'the empty text takes a setting back';
    is_deeply stored($server), {}, 'and out of the database';
};

subtest 'settings of the configuration' => sub {
    my $server = Verstak::Server->new(
        config => {
            'server.public_url' => 'https://fixed.example.org',
            'server.name'       => 'Fixed',
            'smtp.host'         => 'mail.example.org',
            'smtp.user'         => 'fixed user',
            'smtp.password'     => $SECRET,
            'smtp.from'         => $FROM,
        },
        env => { VERSTAK_PUBLIC_URL => 'https://environment.example.org' }
    );
    my $settings = get($server, 'settings');
    is_deeply $settings,
        {
        public_url   => 'https://environment.example.org',
        server_name  => 'Fixed',
        registration => 'open',
        fixed        => [qw(public_url server_name)]
        },
        'are shown as fixed';
    is_error(set($server, 'settings', public_url => 'https://other.example.org'),
        409, 'conflict', 'public_url', qr/\Apublic_url is fixed by the server's configuration/);
    is_error(set($server, 'settings', server_name => $_, registration => 'closed'), 409, 'conflict', "server_name '$_'")
        for 'Other', '';
    set_ok($server, 'settings', %$settings{qw(public_url server_name)}, registration => 'closed');
    is_deeply stored($server), { registration => 'closed' }, 'only what is not fixed changes';

    my $smtp = get($server, 'smtp');
    is_deeply $smtp,
        {
        %EMPTY,
        smtp_host    => 'mail.example.org',
        smtp_user    => 'fixed user',
        smtp_from    => $FROM,
        server_url   => 'https://environment.example.org',
        password_set => JSON::PP::true,
        configured   => JSON::PP::true,
        fixed        => [qw(smtp_host smtp_port smtp_user smtp_pass smtp_security smtp_from server_url)]
        },
        'with smtp.host all of SMTP is fixed';
    my %other = (
        smtp_host     => 'other.example.org',
        smtp_port     => 25,
        smtp_user     => 'other',
        smtp_pass     => $SECRET,
        smtp_security => 'none',
        smtp_from     => 'other@example.org',
        server_url    => 'https://other.example.org'
    );
    is_error(set($server, 'smtp', $_ => $other{$_}), 409, 'conflict', $_, qr/\A$_ is fixed/) for sort keys %other;
    is_error(set($server, 'smtp', smtp_host => ''), 409, 'conflict', 'no smtp_host');
    set_ok(
        $server, 'smtp',
        %$smtp{qw(smtp_host smtp_port smtp_user smtp_security smtp_from server_url)},
        smtp_pass => ''
    );
    is_deeply stored($server), { registration => 'closed' }, 'nothing was stored';
    ok $server->admin(GET => '/admin/api/stats')->json->{smtp_configured}, 'the stats say that SMTP is configured';
    is leaks($server), 0, 'the password is nowhere to be read';

    my $closed = Verstak::Server->new(config => { 'server.registration' => 'closed' });
    is_deeply get($closed, 'settings')->{fixed}, ['registration'], 'registration is fixed by itself';
    is_error(set($closed, 'settings', registration => 'open'), 409, 'conflict', 'it stays closed');
    set_ok($closed, 'settings', server_name => 'Ours');
};

subtest 'SMTP settings' => sub {
    my $server = Verstak::Server->new;
    is_deeply get($server, 'smtp'), \%EMPTY, 'none at first';
    ok !$server->admin(GET => '/admin/api/stats')->json->{smtp_configured}, 'and the stats say so';
    my %smtp = (
        smtp_host     => 'mail.example.org',
        smtp_port     => '2525',
        smtp_user     => 'mailer',
        smtp_security => 'tls',
        smtp_from     => $FROM
    );
    my %want = (
        %EMPTY, %smtp,
        smtp_port    => 2525,
        password_set => JSON::PP::true,
        configured   => JSON::PP::true,
        server_url   => 'https://sync.example.org'
    );
    utf8::encode(my $secret = $SECRET);
    my $response = $server->admin(
        POST => '/admin/api/smtp',
        form => { %smtp, smtp_pass => $secret, server_url => 'https://sync.example.org' }
    );
    is_deeply is_json_answer($response, 'a form'), { status => 'ok' }, 'status';
    is_deeply get($server, 'smtp'), \%want, 'every worker knows them' for 1 .. 4;
    is get($server, 'settings')->{public_url}, 'https://sync.example.org', 'server_url is the public URL';
    ok $server->admin(GET => '/admin/api/stats')->json->{smtp_configured}, 'the stats say so';
    like stored($server)->{smtp_password}, qr{\Av1:[0-9a-f]{8}:[A-Za-z0-9+/=]+\z}, 'the password is stored encrypted';
    is leaks($server),                                    0,    'and nowhere to be read';
    is + (stat $server->data . '/secret.key')[2] & 07777, 0600, 'its key is for the server alone';

    my $sealed = stored($server)->{smtp_password};
    set_ok($server, 'smtp', smtp_port => 465, smtp_from => 'other@example.org');
    is_deeply get($server, 'smtp'), { %want, smtp_port => 465, smtp_from => 'other@example.org' },
        'what is not given stays';
    set_ok(
        $server, 'smtp',
        smtp_host     => 'mail.example.org',
        smtp_user     => 'mailer',
        smtp_pass     => '',
        smtp_security => 'starttls'
    );
    is stored($server)->{smtp_password}, $sealed, 'no password leaves the stored one';
    my %named = map { $_ => 1 } split /, /, audited($server, 'settings.change')->{detail};
    is_deeply \%named, { smtp_security => 1 }, 'and the audit log names what changed';
    set_ok($server, 'smtp', smtp_pass => 'another');
    isnt stored($server)->{smtp_password}, $sealed, 'a new one is another';
    ok + (grep { $_ eq 'smtp_password' } split /, /, audited($server, 'settings.change')->{detail}),
        'the audit log names it';

    for my $change (
        [ smtp_host => 'evil.example.org' ],
        [ smtp_user => 'other' ],
        [ smtp_host => '' ],
        [ smtp_user => '' ],
        [ smtp_security => 'none' ]
        )
    {
        set_ok($server, 'smtp', smtp_host => 'mail.example.org', smtp_user => 'mailer', smtp_security => 'starttls', smtp_pass => $SECRET);
        ok get($server, 'smtp')->{password_set}, 'a password';
        set_ok($server, 'smtp', @$change);
        ok !get($server, 'smtp')->{password_set}, "does not outlive @$change";
        is stored($server)->{smtp_password}, undef, 'in the database neither';
    }
    set_ok(
        $server, 'smtp',
        smtp_host => 'mail.example.org',
        smtp_user => 'mailer',
        smtp_pass => $SECRET,
        smtp_from => ''
    );
    my $now = get($server, 'smtp');
    ok !$now->{configured}, 'without a sender nothing can be sent';
    like $now->{fault}, qr/smtp_from/, 'and the answer says why';
    ok !$server->admin(GET => '/admin/api/stats')->json->{smtp_configured}, 'the stats, too';

    my $before = stored($server);
    my %bad    = (
        smtp_host => [ 'a b', "a\nb", 'http://x', '[::1]', 'x' x 254, '-x', '.',   'a/b', 'a:25',               'a"b' ],
        smtp_port => [ 0,     '0',    65536,      -1,      '-1',      'x',  '25x', ' 25', 99999999999999999999, '1e3' ],
        smtp_user => [ "a\nb",   'x' x 513 ],
        smtp_pass => [ "a\r\nb", 'x' x 513 ],
        smtp_security => [ 'ssl', 'TLS', 'x' ],
        smtp_from     =>
            [ 'x', "a\@example.org\nBcc: b\@example.org", 'A <a@example.org>', 'a@example.org, b@example.org' ],
        server_url => [ 'x', 'ftp://x', 'http://x"y' ],
    );

    for my $name (sort keys %bad) {
        is_error(
            set($server, 'smtp', $name => $_),
            400, 'invalid_request',
            "$name '" . substr(s/[^ -~]/?/gr, 0, 20) . q{'},
            qr/\A(?:field ')?$name/
        ) for @{ $bad{$name} };
        is_error(set($server, 'smtp', $name => $_), 400, 'invalid_request', "$name as " . json_type($_))
            for 5.5, [], {}, JSON::PP::true;
        is_error(set($server, 'smtp', $name => "a\0b"), 400, 'invalid_request', "U+0000 in $name");
        is_error($server->admin(POST => '/admin/api/smtp', form => { $name => "a\0b" }),
            400, 'invalid_request', '  in a form');
    }
    is set($server, 'smtp', smtp_security => 'ssl')->json->{error}, 'smtp_security must be none, starttls or tls',
        'what would do is named';
    is_error($server->admin(POST => '/admin/api/smtp', form => { smtp_user => 'x' x 100_000 }),
        413, 'request_too_large', 'much too long');
    is_deeply stored($server), $before, 'none of these changed anything';
    for my $host ('::1', '127.0.0.1', 'почта.рф', 'a_b.example.org') {
        set_ok($server, 'smtp', smtp_host => $host);
        is get($server, 'smtp')->{smtp_host}, $host, "host $host";
    }
    set_ok($server, 'smtp',
        map { $_ => '' } qw(smtp_host smtp_port smtp_user smtp_pass smtp_security smtp_from server_url));
    is_deeply get($server, 'smtp'), \%EMPTY, 'the empty text takes a setting out';
    is_deeply stored($server), {}, 'all of them';
};

subtest 'the key is another' => sub {
    my $server = Verstak::Server->new;
    my %smtp   = (smtp_host => 'mail.example.org', smtp_user => 'mailer', smtp_from => $FROM);
    set_ok($server, 'smtp', %smtp, smtp_pass => $SECRET);
    $server->stop;
    open my $fh, '+<:raw', $server->data . '/secret.key' or die "cannot open the key: $!\n";
    print {$fh} 'x' x 32;
    close $fh;
    $server->start;
    my $now = get($server, 'smtp');
    ok $now->{password_set}, 'there is a password';
    ok !$now->{configured},  'but nothing can be sent';
    like $now->{fault}, qr/secret\.key/, 'and the answer names the file';
    my $test = $server->admin(POST => '/admin/api/smtp/test', json => { test_to => 'ann@example.org' });
    is_deeply is_json_answer($test, 'test'), { ok => JSON::PP::false, error => $now->{fault} },
        'the test says the same';
    set_ok($server, 'smtp', smtp_pass => $SECRET);
    ok get($server, 'smtp')->{configured}, 'the password typed again is good';
};

# The test of settings: its answer.
sub try_smtp ($server, %field) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is_json_answer($server->admin(POST => '/admin/api/smtp/test', json => \%field), 'test');
}

sub is_refused ($answer, $pattern, $name) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok !$answer->{ok} && JSON::PP::is_bool($answer->{ok}), "$name: not ok";
    return like $answer->{error}, $pattern, '  and why';
}

sub fields_of ($smtp) {
    return (
        smtp_host     => $smtp->host,
        smtp_port     => $smtp->port,
        smtp_security => $smtp->{security},
        smtp_from     => $FROM,
        $smtp->{user} ? (smtp_user => $smtp->{user}, smtp_pass => $smtp->{password}) : (),
    );
}

subtest 'test of the SMTP settings' => sub {
    my $smtp   = Verstak::Smtp->new(security => 'starttls', user => 'mailer', password => $SECRET, auth_required => 1);
    my $server = Verstak::Server->new(config => { 'smtp.ca_file' => $smtp->ca_file, 'server.name' => 'Наш сервер' });
    my %smtp   = (fields_of($smtp), test_to => 'ann@example.org');
    is_deeply try_smtp($server, %smtp), { ok => JSON::PP::true }, 'settings that are not stored';
    my $mail = $smtp->mail_to('ann@example.org');
    ok $mail->tls, 'the mail came encrypted';
    is $mail->user, 'mailer', 'by the account';
    is $mail->from, $FROM,    'from the sender';
    like $mail->subject, qr/Наш сервер/, 'its subject names the server';
    like $mail->text,    qr/\w/,         'it has a text';
    is_deeply stored($server), {}, 'nothing was stored';
    my $audit = audited($server, 'smtp.test');
    is $audit->{actor}, "admin:$Verstak::Server::ADMIN", 'the audit log says who it was';
    like $audit->{detail}, qr/\A127\.0\.0\.1 port \d+\z/, 'and what was tried';
    is_deeply is_json_answer(
        $server->admin(POST => '/admin/api/smtp/test', form => { %smtp, smtp_pass => Encode::encode_utf8($SECRET) }),
        'as a form'),
        { ok => JSON::PP::true }, 'works as well';

    is_refused(try_smtp($server, %smtp, smtp_pass     => 'wrong'), qr/535|auth|password/i, 'a wrong password');
    is_refused(try_smtp($server, %smtp, smtp_user     => ''),      qr/530|auth/i,          'no account');
    is_refused(try_smtp($server, %smtp, smtp_security => 'none'),
        qr/530|STARTTLS/i, 'no encryption where the server wants it');
    is_refused(try_smtp($server, %smtp, smtp_security => 'tls'), qr/\w/, 'TLS where the server speaks STARTTLS');
    my $rule = $smtp->rule(at => 'rcpt', do => 'reply', reply => "550 5.1.1 nobody of that name: \xe9");
    is_refused(try_smtp($server, %smtp), qr/550 5\.1\.1 nobody of that name/, 'a refused recipient');
    $smtp->remove_rule($rule);
    my $secret = Encode::encode_utf8($SECRET);
    $rule = $smtp->rule(at => 'auth', do => 'reply', reply => "535 5.7.8 $secret is wrong");
    my $answer = try_smtp($server, %smtp);
    is_refused($answer, qr/535/, 'a server that says what it was told');
    unlike $answer->{error}, qr/Geheimnis/, '  is not quoted';
    $smtp->remove_rule($rule);
    $smtp->stop;
    is_refused(try_smtp($server, %smtp), qr/connect|refused/i, 'nobody there');
    $smtp->start;
    is_refused(
        try_smtp($server, %smtp, smtp_host => 'no-such-host.invalid'),
        qr/no-such-host\.invalid|resolve/i,
        'no such host'
    );

    my %need = (
        smtp_host => 'smtp_host is required',
        smtp_from => 'smtp_from is required',
        test_to   => 'test_to is required'
    );
    is_error($server->admin(POST => '/admin/api/smtp/test', json => { %smtp, $_ => '' }),
        400, 'invalid_request', "no $_", $need{$_})
        for sort keys %need;
    is_error($server->admin(POST => '/admin/api/smtp/test', json => { %smtp, @$_ }),
        400, 'invalid_request', "$_->[0] '" . substr($_->[1] =~ s/[^ -~]/?/gr, 0, 20) . q{'})
        for [ test_to => 'x' ], [ test_to => "a\@example.org\nRCPT TO:<b\@example.org>" ],
        [ test_to       => 'x' x 300 . '@example.org' ],
        [ test_to       => "a\0\@example.org" ], [ smtp_port => 0 ], [ smtp_host => 'a b' ], [ smtp_host => "a\0b" ],
        [ smtp_security => 'ssl' ], [ smtp_from => 'x' ],
        [ test_to       => [] ], [ smtp_host => 5 ];
    is leaks($server), 0, 'the password is nowhere to be read';
};

subtest 'mails that wait for the settings' => sub {
    my $smtp   = Verstak::Smtp->new;
    my $server = Verstak::Server->new;
    my $stats =
        sub () { my $s = $server->admin(GET => '/admin/api/stats')->json; [ @$s{qw(mails_waiting mails_failed)} ] };
    my $state = sub ($to) {
        my ($mail) = grep { $_->{recipient} eq $to } @{ $server->admin(GET => '/admin/api/outbox')->json->{mails} };
        return $mail // {};
    };
    my $register = sub ($name) {
        $server->expect_ok(
            $server->request(
                POST => '/api/v1/auth/register',
                json => { username => $name, email => "$name\@example.org", password => 'long enough' }
            ),
            "register $name"
        );
    };
    $register->('ann');
    is_deeply $stats->(), [ 1, 0 ], 'one mail waits';
    is $state->('ann@example.org')->{state}, 'queued', 'it is queued';
    set_ok($server, 'smtp', fields_of($smtp), server_url => 'https://sync.example.org');
    like $smtp->mail_to('ann@example.org')->text, qr{https://sync\.example\.org/\S+token=},
        'it goes out at once, with the URL given';
    wait_for('the outbox to say so', 10, sub { $state->('ann@example.org')->{state} eq 'sent' });
    is_deeply $stats->(), [ 0, 0 ], 'none waits any more';
    is_error($server->admin(POST => '/admin/api/outbox/' . $state->('ann@example.org')->{id} . '/retry'),
        409, 'conflict', 'nor can it be sent again');

    my $rule = $smtp->rule(at => 'rcpt', do => 'reply', reply => '550 5.1.1 nobody of that name', to => '^bob@');
    $register->('bob');
    my $mail =
        wait_for('the mail to fail', 20, sub { my $m = $state->('bob@example.org'); $m->{state} eq 'failed' && $m });
    like $mail->{last_answer}, qr/550 5\.1\.1 nobody of that name/, 'a refused one shows what the server said';
    is_deeply $stats->(), [ 0, 1 ], 'and counts as failed';
    $smtp->remove_rule($rule);
    is_json_answer($server->admin(POST => "/admin/api/outbox/$mail->{id}/retry"), 'sent again');
    ok $smtp->mail_to('bob@example.org'), 'it arrives';
};

subtest 'the stored password goes nowhere else' => sub {
    my ($smtp, $other) = map { Verstak::Smtp->new(user => 'mailer', password => $SECRET, auth_required => 1) } 1 .. 2;
    my $server = Verstak::Server->new;
    my %smtp   = fields_of($smtp);
    set_ok($server, 'smtp', %smtp);
    is_deeply try_smtp($server, test_to => 'ann@example.org'), { ok => JSON::PP::true }, 'the stored settings work';
    delete $smtp{smtp_pass};
    is_deeply try_smtp($server, %smtp, test_to => 'ann@example.org'), { ok => JSON::PP::true },
        'given again, without the password';
    is_deeply try_smtp($server, %smtp, smtp_pass => '', smtp_from => 'other@example.org', test_to => 'ann@example.org'),
        { ok => JSON::PP::true },
        'or with an empty one, and another sender';

    # The other server takes the same account: a password that came there would be accepted.
    is_refused(try_smtp($server, %smtp, smtp_port => $other->port, test_to => 'ann@example.org'),
        qr/\w/, 'another port');
    is_refused(
        try_smtp($server, %smtp, smtp_host => 'localhost', smtp_port => $other->port, test_to => 'ann@example.org'),
        qr/\w/, 'another host');
    is_refused(try_smtp($server, smtp_host => 'localhost', test_to => 'ann@example.org'),
        qr/\w/, 'the same host by another name');
    is_refused(try_smtp($server, smtp_user => 'Mailer', test_to => 'ann@example.org'), qr/\w/, 'another user');
    is $other->count, 0, 'the other server took nothing';
    set_ok($server, 'smtp', smtp_host => 'localhost', smtp_port => $other->port);
    is_refused(try_smtp($server, test_to => 'ann@example.org'), qr/\w/, 'stored for another host');
    is $other->count, 0, 'it took nothing';

    my $fixed = Verstak::Server->new(config => { $smtp->config, 'smtp.from' => $FROM });
    is_deeply try_smtp($fixed, test_to => 'bob@example.org'), { ok => JSON::PP::true },
        'the password of the configuration works';
    is_refused(try_smtp($fixed, smtp_port => $other->port, test_to => 'bob@example.org'),
        qr/\w/, 'for its server alone');
    is $other->count, 0, 'the other server took nothing';
    is leaks($_), 0, 'it is nowhere to be read' for $server, $fixed;
};

subtest 'certificates' => sub {
    for my $security (qw(starttls tls)) {
        my $smtp   = Verstak::Smtp->new(security => $security);
        my $server = Verstak::Server->new(config => { 'smtp.ca_file' => $smtp->ca_file });
        my %smtp   = (fields_of($smtp), test_to => 'ann@example.org');
        is_deeply try_smtp($server, %smtp), { ok => JSON::PP::true }, "$security: the right certificate";
        for my $certificate (qw(wrong expired foreign)) {
            $smtp->stop->start(certificate => $certificate);
            is_refused(try_smtp($server, %smtp), qr/certificate|SSL|TLS/i, "$security: one that is $certificate");
        }
        is $smtp->count, 1, '  no mail but the first came';
    }
};

subtest 'a server that hangs' => sub {
    my $smtp   = Verstak::Smtp->new;
    my $server = Verstak::Server->new(config => { 'server.workers' => 1, 'http.request_timeout' => '4s' });
    my %smtp   = (fields_of($smtp), test_to => 'ann@example.org');
    my %admin  = $server->admin_login;
    my $begin  = sub () {
        my $connection = $server->connect;
        $connection->send_request(POST => '/admin/api/smtp/test', json => \%smtp, %admin);
        return $connection;
    };
    for my $at (qw(connect end)) {
        my $rule    = $smtp->rule(at => $at, do => 'hang');
        my $started = time;
        my $first   = $begin->();
        wait_for("the server to hang at $at", 10, sub { $smtp->fired($rule) });
        my @more = map { $begin->() } 1 .. 3;
        my ($slowest, $count) = (0, 0);
        while (time - $started < 2) {
            my $asked = time;
            is_status($server->request(GET => '/api/v1/health'), 200, 'health') if $count++ == 0;
            $server->request(GET => '/admin/api/users', %admin)->status == 200 or fail 'others are served';
            $slowest = time - $asked if time - $asked > $slowest;
        }
        cmp_ok $slowest, '<', 1 * Verstak::Wait::slowness(), "$at: others are served meanwhile ($count requests)";
        is_refused(is_json_answer($first->response, 'the test'), qr/time|within|seconds/i, 'it is cut off');
        cmp_ok time - $started, '<', 4 * Verstak::Wait::slowness(), '  in time';
        my @status = map { $_->response } @more;
        is scalar(grep { $_->status == 503 } @status), 1, '  of three that came meanwhile one found the queue full';
        is_refused($_->json, qr/another test|in time/, '  others had less time, or none')
            for grep { $_->status == 200 } @status;
        $smtp->remove_rule($rule);
        is_deeply try_smtp($server, %smtp), { ok => JSON::PP::true }, '  the next one works';
    }
    my $slow = Verstak::Server->new(config => { 'server.workers' => 1, 'server.shutdown_timeout' => '2s' });
    $smtp->rule(id => 'for ever', at => 'mail', do => 'hang');
    my $connection = $slow->connect;
    $connection->send_request(POST => '/admin/api/smtp/test', json => \%smtp, $slow->admin_login);
    wait_for('the server to hang', 10, sub { $smtp->fired('for ever') });
    my $stopped = time;
    is $slow->stop, 0, 'a server that stops';
    cmp_ok time - $stopped, '<', 10 * Verstak::Wait::slowness(), '  does not wait for it longer than for any request';
};

done_testing;
