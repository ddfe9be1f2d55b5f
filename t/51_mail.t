# E-mails as they arrive: what they say, in which form and language, how they come (TLS, login, IPv6), and that what they carried is kept nowhere.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Encode qw(decode_utf8 encode_utf8);
use Test::More;
use Verstak::Outbox;
use Verstak::People;
use Verstak::Postgres;
use Verstak::Processes qw(slurp);
use Verstak::Server;
use Verstak::Smtp;
use Verstak::Wait qw(wait_for wait_until);

binmode Test::More->builder->$_, ':encoding(UTF-8)' for qw(output failure_output todo_output);

my $URL      = 'https://sync.example.org/verstak';
my $PASSWORD = 'mail server password 7';
my %config   = (
    'server.public_url'  => $URL,
    'mail.retry_min'     => '100ms',
    'mail.retry_max'     => '300ms',
    'mail.timeout'       => '5s',
    'mail.poll'          => '1h',                                                # mails are sent because the mailer is woken
    'retention.interval' => '200ms',
    'log.level'          => 'debug',
);
my $pg     = Verstak::Postgres->new;
my $smtp   = Verstak::Smtp->new;
my $server = Verstak::Server->new(postgres => $pg, config => { %config, $smtp->config });
my $people = Verstak::People->new($server);
my $outbox = Verstak::Outbox->new($server);
my %ru     = (headers => [ 'Accept-Language' => 'ru-RU,ru;q=0.9,en;q=0.5' ]);
my %en     = (headers => [ 'Accept-Language' => 'de;q=0.9, en;q=0.5' ]);
my @secrets;

# The message number $number to the address, checked for what is the same in all.
sub arrives ($name, $to, %option) {
    my $mail = $smtp->mail_to($to, %option);
    push @secrets, $mail->token // ();
    subtest "$name: the form" => sub {
        is_deeply [ $mail->to ], [$to], 'one recipient';
        is $mail->from, 'verstak@example.org', 'the sender of the envelope';
        is_deeply [ $mail->defects ], [], 'Python\'s parser has nothing against it';
        for my $header (qw(From To Subject Date Message-ID MIME-Version Content-Type Auto-Submitted)) {
            is scalar(my @all = $mail->header($header)), 1, "one $header";
        }
        like $mail->header('From'), qr/<verstak\@example\.org>\z/, 'From';
        is $mail->header('To') =~ s/\A<(.*)>\z/$1/r, $to, 'To';
        like $mail->message_id, qr/\A<[0-9a-f-]{36}\@example\.org>\z/, 'Message-ID';
        is $mail->header('Auto-Submitted'), 'auto-generated', 'Auto-Submitted';
        is $mail->header('MIME-Version'),   '1.0',            'MIME-Version';
        like $mail->header('Date'), qr/\A(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000\z/a, 'Date';
        ok !grep({ /\A(?:list-|bcc\z|cc\z|x-)/i } $mail->mime->header_names), 'no list, no copies';
        like $mail->mime->content_type, qr{\Amultipart/alternative;}, 'two forms of one text';
        is join(' ', map { $_->content_type =~ s/;.*//r } $mail->parts), 'text/plain text/html', 'plain text first, then HTML';
    };
    return $mail;
}

# Both parts say this; in HTML the signs that mean something there are escaped.
sub both_say ($mail, $what, $text) {
    my $html = $text =~ s/&/&amp;/gr =~ s/</&lt;/gr =~ s/>/&gt;/gr;
    my $flat = sub ($part) { $mail->text($part) =~ s/\s+/ /gr };
    like $flat->('text/plain'), qr/\Q$text\E/, "$what in plain text";
    like $flat->('text/html'),  qr/\Q$html\E/, "$what in HTML";
    return;
}

# The link of a mail as a request to the server under test.
sub link_path ($mail) {
    my ($link) = grep {/token=/} $mail->links;
    is scalar(grep {/token=/} $mail->links), 1, 'one link';
    like $link, qr/\A\Q$URL\E/, 'it begins with the public URL';
    like $mail->text('text/html'), qr/href="\Q$link\E"/, 'the same link in HTML';
    return substr $link, length $URL;
}

# --- life of an account, in two languages ----------------------------------------------------------------------------

# The subjects as the catalogue of the language has them.
sub subjects ($locale) {
    my $text = decode_utf8(slurp("$FindBin::Bin/../src/mail/catalogues/$locale"));
    return { map { s/\{server\}/Verstak Sync Server/r } $text =~ /^\@(\w+)\nSubject: (.+)$/mg };
}

my %expected = (
    en => {
        name     => 'Ann',
        language => \%en,
        subject  => qr/Confirm your e-mail address/,
        hello    => 'Hello,',
    },
    ru => {
        name     => 'Жанна',
        language => \%ru,
        subject  => qr/Подтвердите адрес электронной почты/,
        hello    => 'Здравствуйте!',
    },
);

for my $locale (sort keys %expected) {
    my %expect = (%{ $expected{$locale} }, subjects => subjects($locale));
    my $person = { username => $expect{name}, email => "person-$locale\@example.org", password => "password of $locale" };
    my $moved  = "moved-$locale\@example.org";
    my $mail_of = sub ($template, $to, %option) {
        my $mail = arrives("$locale, $template", $to, %option);
        is $mail->subject, $expect{subjects}{$template}, 'Subject';
        unlike $mail->raw_header('Subject'), qr/[^\r\n\x20-\x7e]/, 'encoded as RFC 2047 wants it';
        both_say($mail, 'the greeting', $expect{hello});
        both_say($mail, 'the account',  $expect{name});
        return $mail;
    };

    subtest "$locale: registration" => sub {
        $server->expect_ok($people->register($person, %{ $expect{language} }), 'register');
        my $mail = $mail_of->(confirm => $person->{email});
        like $mail->subject, $expect{subject}, 'in the language of the browser';
        my $path = link_path($mail);
        my $row  = $outbox->wait_state($outbox->row_to($person->{email}, 'confirm')->{id}, 'sent');
        is $row->{secret}, undef, 'the token is cleared from the outbox';
        is $row->{detail}, undef, 'and what else it said';
        is $row->{tries},  1,     'at the first try';
        like $row->{last_answer}, qr/250 .*accepted/, 'the answer of the mail server is kept';
        like $server->log_like(qr/e-mail $row->{id} \(confirm\)/), qr/to \Q$person->{email}\E: sent: 250/, 'a line in the log';
        is $server->request(GET => $path)->status, 200, 'the link confirms';
        is $server->request(GET => $path)->status, 400, 'once';
        $server->expect_ok($people->login_response($person), 'login');
    };

    subtest "$locale: forgotten password" => sub {
        $server->expect_ok($people->post('/api/v1/auth/forgot', { email => $person->{email} }), 'forgot');
        my $mail = $mail_of->(reset => $person->{email}, number => 2);
        like link_path($mail), qr{\A/reset\?token=}, 'the link leads to the page';
        my $new = { token => $mail->token, new_password => "new $person->{password}" };
        is $people->post('/api/v1/auth/reset', $new)->status, 200, 'its token resets the password';
        is $people->post('/api/v1/auth/reset', $new)->status, 400, 'once';
        $person->{password} = $new->{new_password};
        my $notice = $mail_of->(password_changed => $person->{email}, number => 3);
        both_say($notice, 'the address of the client', '127.0.0.1');
        is $notice->token, undef, 'no token in a notice';
        $server->expect_ok($people->login_response($person), 'login');
    };

    subtest "$locale: a device" => sub {
        my $device = 'Ann\'s <b>"laptop"</b> & ' . '.' x 60 . ' Ящик';
        $server->pair($person->{username}, $person->{password}, device_name => $device);
        my $mail = $mail_of->(device_paired => $person->{email}, number => 4);
        both_say($mail, 'the name of the device', 'laptop');
        like $mail->text =~ s/\s+/ /gr, qr/\Q$device\E/, 'whole in plain text';
        unlike $mail->text('text/html'), qr/<b>"laptop/, 'escaped in HTML';
        like $mail->text('text/html'), qr/&lt;b&gt;(?:"|&quot;|&#34;)laptop/, 'as text';
        like $mail->text('text/html'), qr/\.{60} Ящик/, 'with all its dots';
    };

    subtest "$locale: another address" => sub {
        my %session = $people->login($person);
        my $answer  = $people->post('/api/v1/user/email', { email => $moved, password => $person->{password} }, %session);
        is $answer->status, 200, 'asked for' or diag $answer->describe;
        my $mail = $mail_of->(address_confirm => $moved);
        my $path = link_path($mail);
        is $server->request(GET => $path)->status, 200, 'the link confirms it';
        is $server->request(GET => $path)->status, 400, 'once';
        my $notice = $mail_of->(address_changed => $person->{email}, number => 5);
        both_say($notice, 'the new address', $moved);
    };
}

subtest 'nobody is told whether there is an account' => sub {
    my $count = $smtp->count;
    $server->expect_ok($people->post('/api/v1/auth/forgot', { email => 'nobody@example.org' }), 'forgot');
    ok wait_until(20, sub { !$outbox->row_to('nobody@example.org') }), 'a mail to nobody is dropped';
    $outbox->wait_state($outbox->notice('after@example.org'), 'sent');
    is $smtp->count, $count + 1, 'and not sent';
};

subtest 'names that try to be headers' => sub {
    my ($name, $password) = $server->create_user;
    for my $device ("x\r\nBcc: evil\@example.org", "x\nSubject: other", "=?UTF-8?Q?=0D=0ABcc:_evil=40example.org?=") {
        my $answer = $server->request(POST => '/api/client/pair',
            json => { login => $name, password => $password, device_name => $device });
        note $answer->status;
    }
    my $mails = wait_for('mails', 20, sub { my @m = $smtp->messages("$name\@example.org"); @m && !$outbox->waiting && \@m });
    for my $mail (@$mails) {
        is_deeply [ $mail->to ],      ["$name\@example.org"], 'one recipient';
        is_deeply [ $mail->defects ], [],                     'a message without defects';
        is $mail->subject, subjects('en')->{device_paired}, 'its own subject';
        ok !defined $mail->header('Bcc'), 'no further header';
    }
    ok !$smtp->messages('evil@example.org'), 'nobody else gets anything';
};

# --- how they come -----------------------------------------------------------------------------------------------------

sub reload (%change) { return $server->write_config(%change)->reload }

my @way = (
    [ 'STARTTLS',                 { security => 'starttls' } ],
    [ 'STARTTLS and PLAIN',       { security => 'starttls', user => 'mailer', password => $PASSWORD, auth_required => 1, mechanisms => ['PLAIN'] } ],
    [ 'TLS and LOGIN',            { security => 'tls',      user => 'mailer@example.org', password => $PASSWORD, auth_required => 1, mechanisms => ['LOGIN'] } ],
    [ 'PLAIN in the clear',       { security => 'none',     user => 'mailer', password => $PASSWORD, auth_required => 1 } ],
    [ 'IPv6',                     { host     => '::1' } ],
    [ 'IPv6, STARTTLS and LOGIN', { host     => '::1', security => 'starttls', user => 'почта', password => "пароль '\"\\: $PASSWORD", auth_required => 1 } ],
);
for my $way (@way) {
    my ($name, $option) = @$way;
    subtest "by $name" => sub {
        my $other = Verstak::Smtp->new(%$option);
        reload('smtp.user' => undef, 'smtp.password' => undef, 'smtp.ca_file' => undef, $other->config);
        my $id   = $outbox->notice('way@example.org');
        my $mail = $other->mail_to('way@example.org');
        is !!$mail->tls, !!(($option->{security} // 'none') ne 'none'), 'encrypted as asked for';
        is $mail->user, $option->{user}, 'logged in as asked for';
        is $outbox->wait_state($id, 'sent')->{tries}, 1, 'at the first try';
        is scalar($other->messages), 1, 'once';
    };
}

# Certificates and logins that are not right: nothing is sent, the reason is told; once they are right it is sent.
my %login = (user => 'mailer', password => $PASSWORD, auth_required => 1);
my @wrong = (
    [ 'a certificate of another name', { certificate => 'wrong' },                 qr/certificate|name|subject/i ],
    [ 'an expired certificate',        { certificate => 'expired' },               qr/expired/i ],
    [ 'a certificate of another CA',   { certificate => 'foreign' },               qr/certificate|issuer/i ],
    [ 'no STARTTLS',                   { security    => 'none' },                  qr/STARTTLS/ ],
    [ 'a wrong certificate with TLS',  { certificate => 'wrong', security => 'tls' }, qr/certificate|name|subject/i ],
    [ 'a wrong password',              { password    => 'another password 8' },    qr/535/ ],
);
for my $wrong (@wrong) {
    my ($name, $bad, $reason) = @$wrong;
    subtest "refused: $name" => sub {
        my %right = (security => 'starttls', certificate => 'good', %login, $bad->{security} && $bad->{security} eq 'tls' ? (security => 'tls') : ());
        my $other = Verstak::Smtp->new(%right);
        my $mark  = reload($other->config, 'smtp.user' => $login{user}, 'smtp.password' => $PASSWORD);
        $other->stop->start(%$bad);
        my @ids = $outbox->notices(map {"wrong-$_\@example.org"} 1 .. 3);
        my $row = wait_for('a try', 30, sub {
            my @tried = grep { $_->{last_answer} ne '' } map { $outbox->row($_) } @ids;
            return $tried[0];
        });
        like $row->{last_answer}, $reason, 'the reason is in the outbox';
        like $server->log_like(qr/mailer\[\d+\]: (?!.*e-mail \d).*$reason/, since => $mark), qr/\b127\.0\.0\.1\b|\bSMTP\b/, 'and in the log: the server, not a mail, is at fault';
        wait_for('another try', 30, sub {
            return grep { $outbox->row($_)->{tries} >= 2 } @ids;
        });
        is $other->count, 0, 'nothing is sent';
        is $other->steps('auth'), 0, 'no password goes over this connection' if $name ne 'a wrong password';
        is $outbox->count('failed'), 0, 'nothing is given up';
        $other->stop->start(%right);
        $outbox->wait_state($_, 'sent') for @ids;
        is_deeply [ sort map { $_->to } $other->messages ], [ map {"wrong-$_\@example.org"} 1 .. 3 ], 'each is sent once when all is right';
    };
}

subtest 'STARTTLS where there is one' => sub {
    my $other = Verstak::Smtp->new(security => 'none');
    reload($other->config, 'smtp.security' => 'starttls', 'smtp.starttls_optional' => 'true', 'smtp.user' => undef, 'smtp.password' => undef);
    $outbox->wait_state($outbox->notice('optional@example.org'), 'sent');
    ok !$other->mail_to('optional@example.org')->tls, 'without encryption, because the configuration says so';
    my $able = Verstak::Smtp->new(security => 'starttls');
    reload($able->config, 'smtp.starttls_optional' => 'true');
    $outbox->wait_state($outbox->notice('able@example.org'), 'sent');
    ok $able->mail_to('able@example.org')->tls, 'encrypted when the server can';
    reload('smtp.starttls_optional' => undef, 'smtp.ca_file' => undef, $smtp->config);
};

subtest 'without NOTIFY' => sub {
    reload('database.prepared_statements' => 'false', 'mail.poll' => '200ms');    # as behind PgBouncer, where nobody can listen
    $outbox->wait_state($outbox->notice('poll@example.org'), 'sent');
    ok $smtp->mail_to('poll@example.org'), 'the poll finds it';
    reload('database.prepared_statements' => undef, 'mail.poll' => '1h');
};

subtest 'secrets' => sub {
    cmp_ok scalar(@secrets), '>=', 6, 'tokens were sent';
    my $log = slurp($server->log_file);
    ok !grep({ index($log, $_) >= 0 } @secrets), 'none of them is in the log';
    ok !grep({ index($log, encode_utf8($_)) >= 0 } $PASSWORD, "пароль '", 'another password 8'), 'nor a password of the mail server';
    ok !grep({ index($log, $_) >= 0 } 'password of en', 'password of ru'), 'nor one of a person';
    my $dump = join "\n", map { @{ $pg->dbh->selectcol_arrayref("SELECT t::text FROM $_ t") } } qw(email_outbox email_tokens settings audit_log);
    ok !grep({ index($dump, $_) >= 0 } @secrets), 'nor in the database';
    is $outbox->dbh->selectrow_array(q{SELECT count(*) FROM email_outbox WHERE state = 'sent' AND (secret IS NOT NULL OR detail IS NOT NULL)}), 0,
        'a sent mail has neither token nor text';
};

done_testing;
