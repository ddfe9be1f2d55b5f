# The mailer as a service: without a mail server, with settings that an admin changes, through a database that goes away, reload, upgrade and restart; and
# what an admin sees of the outbox.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Verstak::Contract;
use Verstak::Outbox;
use Verstak::People;
use Verstak::Postgres;
use Verstak::Processes qw(alive slurp);
use Verstak::Server;
use Verstak::Smtp;
use Verstak::Wait qw(wait_for wait_until);

Verstak::Server::reachable_binary();
my $PASSWORD = 'mail server password 9';
my $pg       = Verstak::Postgres->new;
my $server   = Verstak::Server->new(
    postgres => $pg,
    config   => {
        'mail.poll'                  => '1h',
        'mail.timeout'               => '3s',
        'mail.retry_min'             => '100ms',
        'mail.retry_max'             => '300ms',
        'mail.connections'           => 3,
        'database.statement_timeout' => '2s',
    },
);
my $people = Verstak::People->new($server);
my $outbox = Verstak::Outbox->new($server);

sub mailer () { return ($server->pids_of('mailer'))[0] }

sub set_smtp (%form) {
    my $response = $server->admin(POST => '/admin/api/smtp', form => \%form);
    is $response->status, 200, 'the settings are taken' or diag $response->describe;
    return;
}

sub form_for ($smtp, %other) {
    return (smtp_host => $smtp->host, smtp_port => $smtp->port, smtp_security => 'none', smtp_from => 'verstak@example.org', smtp_user => '', %other);
}

# How often a mail arrived at each of the addresses, where it was not once, over all mail servers given.
sub not_once ($recipients, @smtp) {
    my %count;
    $count{ ($_->to)[0] }++ for map { $_->messages } @smtp;
    return { map { ($_ => $count{$_} // 0) } grep { ($count{$_} // 0) != 1 } @$recipients };
}

sub addresses ($name, $count) { return map {"$name-$_\@example.org"} 1 .. $count }

# --- no mail server ----------------------------------------------------------------------------------------------------

my $ann = $people->person('ann');
subtest 'no mail server' => sub {
    ok $server->log_like(qr/mailer\[\d+\]: no SMTP server is configured/), 'the log says so at the start';
    is $server->admin(GET => '/admin/api/stats')->json->{mails_waiting}, 0, 'nothing waits';
    $server->expect_ok($people->register($ann), 'register');
    my $row = $outbox->row_to('ann@example.org');
    is $row->{state}, 'queued', 'a mail waits';
    ok $server->log_like(qr/mailer\[\d+\]: 1 e-mail waits: no SMTP server/), 'the log says so';
    my $stats = $server->admin(GET => '/admin/api/stats')->json;
    is $stats->{mails_waiting}, 1, 'the statistics, too';
    ok !$stats->{smtp_configured}, 'and why';
    is $outbox->row($row->{id})->{tries}, 0, 'nobody tries to send it';
};

# --- settings ------------------------------------------------------------------------------------------------------------

my $first = Verstak::Smtp->new;
my $mailer = mailer();
subtest 'an admin gives one' => sub {
    my $mark = $server->log_mark;
    set_smtp(form_for($first), server_url => 'https://first.example.org');
    my $mail = $first->mail_to('ann@example.org');
    like +(grep {/token=/} $mail->links)[0], qr{\Ahttps://first\.example\.org/api/v1/auth/confirm\?token=}, 'the mail goes out, with the public URL';
    like $mail->message_id, qr/\@example\.org>\z/, 'and the domain of its sender';
    $outbox->wait_drained;
    is_deeply not_once(['ann@example.org'], $first), {}, 'once';
    is mailer(), $mailer, 'by the same mailer';
    ok $server->log_like(qr/mailer\[$mailer\]: e-mails go to 127\.0\.0\.1:@{[ $first->port ]} \(security: none\)/, since => $mark), 'the log says where to';
    my $stats = $server->admin(GET => '/admin/api/stats')->json;
    is $stats->{mails_waiting}, 0, 'nothing waits';
    ok $stats->{smtp_configured}, 'and there is a mail server';
    is $server->request(GET => '/api/v1/auth/confirm?token=' . $mail->token)->status, 200, 'the link is good';
};

my $second = Verstak::Smtp->new(user => 'mailer', password => $PASSWORD, auth_required => 1);
subtest 'another one, with a login' => sub {
    set_smtp(form_for($second, smtp_user => 'mailer', smtp_pass => $PASSWORD));
    is $server->admin(POST => '/admin/api/settings', form => { server_name => 'Верстак & Co' })->status, 200, 'and another name of the server';
    utf8::decode(my $name = 'Верстак & Co');
    # A mail that the mailer takes at the very moment may still have the former name.
    my $number = 0;
    my $mail   = wait_for('a mail with the new name', 30, sub {
        my $to = 'login-' . ++$number . '@example.org';
        $outbox->wait_state($outbox->notice($to), 'sent');
        my $mail = $second->mail_to($to);
        return $mail->subject =~ /\Q$name\E/ && $mail;
    });
    is $mail->user, 'mailer', 'logged in';
    cmp_ok $number, '<=', 3, 'the new name is soon in the subject';
    like $mail->header('From'), qr/\Q$name\E/, 'and in the sender';
    unlike $mail->text('text/html'), qr/& Co/, 'escaped in HTML';
    is_deeply [ $mail->defects ], [], 'a message without defects';
    is mailer(), $mailer, 'by the same mailer';
};

subtest 'the password is well kept' => sub {
    my $response = $server->admin(GET => '/admin/api/smtp');
    unlike $response->body, qr/\Q$PASSWORD\E/, 'it is not returned';
    ok $response->json->{password_set}, 'only that there is one';
    my $stored = join "\n", @{ $pg->dbh->selectcol_arrayref('SELECT t::text FROM settings t') };
    unlike $stored, qr/\Q$PASSWORD\E/, 'not in clear in the database';
    my @key = stat $server->data . '/secret.key';
    is sprintf('%o', ($key[2] // 0) & 07777), '600', 'the key is the server\'s alone';
    is $key[7], 32, 'of 256 bits';
    set_smtp(form_for($second, smtp_user => 'mailer', smtp_from => 'other@example.org'));
    $outbox->wait_state($outbox->notice('kept@example.org'), 'sent');
    is $second->mail_to('kept@example.org')->from, 'other@example.org', 'it is kept when something else is changed';
};

subtest 'wrong, then right' => sub {
    my $mark = $server->log_mark;
    set_smtp(form_for($second, smtp_user => 'mailer', smtp_pass => 'a wrong password'));
    my @to  = addresses('wrong', 5);
    my @ids = $outbox->notices(@to);
    $server->log_like(qr/warning mailer\[$mailer\]: the SMTP server .*535/, since => $mark);
    wait_for('several tries', 30, sub { $second->steps('auth') >= 5 });
    is $outbox->count('failed'), 0, 'all wait';
    set_smtp(form_for($second, smtp_user => 'mailer', smtp_pass => $PASSWORD));
    $outbox->wait_state($_, 'sent') for @ids;
    is_deeply not_once(\@to, $second), {}, 'sent once with the right one';
};

subtest 'changed in the middle' => sub {
    my @to     = addresses('middle', 600);
    my $before = $second->count;
    $outbox->notices(@to);
    wait_for('a part', 60, sub { $second->count >= $before + 50 });
    set_smtp(form_for($first));
    # A mailer that is woken by nothing but its timers after the change would take minutes.
    ok wait_until(30, sub { !$outbox->waiting }), 'all are sent';
    is_deeply not_once(\@to, $first, $second), {}, 'each arrives once, at the one or the other';
    ok $first->messages(qr/\Amiddle-/), 'at the new one, too';
    is mailer(), $mailer, 'by the same mailer';
};

# --- the outbox ----------------------------------------------------------------------------------------------------------

subtest 'what an admin sees' => sub {
    my $rule = $first->rule(at => 'rcpt', do => 'reply', reply => '550 5.1.1 no such user', to => '^unknown@');
    my $id   = $outbox->notice('unknown@example.org');
    $outbox->wait_state($id, 'failed');
    my $list = $server->admin(GET => '/admin/api/outbox?state=failed')->json;
    is $list->{total}, 1, 'one failed';
    my ($mail) = @{ $list->{mails} };
    is $mail->{id},        $id,                   'this one';
    is $mail->{recipient}, 'unknown@example.org', 'its recipient';
    is $mail->{template},  'password_changed',    'what it is';
    is $mail->{state},     'failed',              'its state';
    is $mail->{tries},     1,                     'tries';
    like $mail->{last_answer}, qr/550 5\.1\.1 no such user/, 'the answer of the mail server';
    like $mail->{$_}, qr/\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\z/, $_ for qw(created_at finished_at);
    ok $mail->{resendable}, 'it can be sent again';
    is $server->admin(GET => '/admin/api/stats')->json->{mails_failed}, 1, 'the statistics count it';
    $first->remove_rule($rule);
    is $server->admin(POST => "/admin/api/outbox/$id/retry", json => {})->status, 200, 'sent again';
    $outbox->wait_state($id, 'sent');
    is scalar(my @m = $first->messages('unknown@example.org')), 1, 'it arrives';
    is_error($server->admin(POST => "/admin/api/outbox/$id/retry", json => {}), 409, 'conflict', 'a sent one');
    is_error($server->admin(POST => '/admin/api/outbox/999999999/retry', json => {}), 404, 'not_found', 'one that is not there');
    is $server->admin(GET => '/admin/api/stats')->json->{mails_failed}, 0, 'none has failed any more';
    my $all = $server->admin(GET => '/admin/api/outbox?per_page=2')->json;
    is scalar @{ $all->{mails} }, 2, 'a page of two';
    cmp_ok $all->{total}, '>', 300, 'of all';
    is $all->{mails}[0]{id}, $id, 'the newest first';
    my $audit = $pg->dbh->selectrow_hashref(q{SELECT * FROM audit_log WHERE action = 'mail.retry'});
    is $audit->{actor}, "admin:$Verstak::Server::ADMIN", 'the audit log has it';
};

# --- what happens to servers ---------------------------------------------------------------------------------------------

# Mails that wait and are sent while $code goes on; in the end each has arrived once.
sub in_the_middle ($name, $code, %option) {
    return subtest $name => sub {
        $first->forget;
        my @to   = addresses($name =~ s/\W+/-/gr, 300);
        my $mark = $server->log_mark;
        $outbox->notices(@to);
        wait_for('a part', 60, sub { $first->count >= 40 });
        $code->($mark);
        $outbox->wait_drained(timeout => 120);
        is $outbox->count('failed'), 0, 'none failed';
        is_deeply not_once(\@to, $first), {}, 'each arrives once';
    };
}

for my $way (qw(fast immediate freeze)) {
    in_the_middle("the database goes away: $way", sub ($mark) {
        $way eq 'freeze' ? $pg->freeze : $pg->stop($way);
        ok $server->log_like(qr/warning mailer\[$mailer\]: .*database/, since => $mark, timeout => 40), 'the mailer says so';
        my $count = $first->count;
        $way eq 'freeze' ? $pg->thaw : $pg->start;
        $outbox->reconnect;
        ok $server->log_like(qr/info mailer\[$mailer\]: .*database again/, since => $mark, timeout => 60), 'and that it is back';
        is mailer(), $mailer, 'the same mailer';
    });
}

# What became of mails is written down again when nobody knows whether it was.
in_the_middle('a record that is not answered', sub ($mark) {
    my $lock = $pg->dbh;
    $lock->begin_work;
    $lock->do('LOCK TABLE email_outbox');
    my %waits;
    wait_for('the mailer to give up one record and to try another', 60, sub {
        my $waiting = $pg->dbh->selectcol_arrayref(q{SELECT pid || ' ' || query_start FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%mail\_record%'});
        $waits{$_} = 1 for @$waiting;
        return keys %waits >= 2;
    });
    $lock->rollback;
});

in_the_middle('reload', sub ($mark) {
    for my $number (1 .. 3) {
        my $count = $first->count;
        my $since = $server->log_mark;
        $server->signal('HUP');
        $server->log_like(qr/generation \d+ is ready/, since => $since, timeout => 40);
        wait_until(20, sub { $first->count >= $count + 20 || !$outbox->waiting });
    }
    ok wait_until(40, sub { !alive($mailer) }), 'the old mailer leaves';
    isnt mailer(), $mailer, 'there is another';
});

in_the_middle('upgrade', sub ($mark) {
    $mailer = mailer();
    $server->signal('USR2');
    $server->log_like(qr/generation \d+ is ready/, since => $mark, timeout => 60);
    ok wait_until(40, sub { !alive($mailer) }), 'the old mailer leaves';
});

in_the_middle('restart', sub ($mark) {
    is $server->stop, 0, 'it stops';
    is $outbox->count('sending'), 0, 'and has given back what it had not begun';
    my $count = $first->count;
    cmp_ok $count, '<', 300, "in the middle: $count are sent";
    $server->start;
});

subtest 'a server that hangs does not hold up a restart' => sub {
    $first->forget;
    my $rule = $first->rule(at => 'stored', do => 'hang', times => 1);
    my $id   = $outbox->notice('hung@example.org');
    wait_for('the mail to be sent', 20, sub { $first->fired($rule) });
    my $other = $outbox->notice('next@example.org');
    $server->restart;
    $outbox->wait_state($_, 'sent') for $id, $other;
    my @mails = $first->messages('hung@example.org');
    is $mails[-1]->message_id, $mails[0]->message_id, 'what was accepted and not confirmed comes again with the same Message-ID';
    cmp_ok scalar @mails, '<=', 2, 'at most once more';
    is_deeply not_once(['next@example.org'], $first), {}, 'another arrives once';
};

subtest 'a mail server that thinks for a while is waited for' => sub {
    my $slow = Verstak::Smtp->new;
    $server->write_config('mail.timeout' => '30s')->restart;
    set_smtp(form_for($slow));
    my $rule = $slow->rule(at => 'end', do => 'slow', seconds => 10, times => 1);
    my $id   = $outbox->notice('slow@example.org');
    wait_for('the mail to be there', 20, sub { $slow->fired($rule) });
    my $old = mailer();
    $server->signal('HUP');
    ok wait_until(30, sub { !alive($old) }), 'the old mailer leaves';
    is $outbox->row($id)->{state}, 'sent', 'with its mail sent';
    is_deeply not_once(['slow@example.org'], $slow), {}, 'once';
    set_smtp(form_for($first));
    $server->write_config('mail.timeout' => '3s')->restart;
};

subtest 'without the key of the password all but e-mail goes on' => sub {
    set_smtp(form_for($second, smtp_user => 'mailer', smtp_pass => $PASSWORD));
    my $key  = $server->data . '/secret.key';
    my $mark = $server->log_mark;
    chmod 0644, $key;
    $server->restart;
    is $server->request(GET => '/api/v1/health')->status, 200, 'the server runs';
    ok $server->log_like(qr/warning $_\b.*secret\.key' may be read by others/, since => $mark), "$_: the log says why" for qw(worker mailer);
    my $id = $outbox->notice('key@example.org');
    like $server->admin(GET => '/admin/api/smtp')->json->{fault}, qr/key/, 'an admin sees it';
    is $server->admin(POST => '/admin/api/smtp', form => { smtp_pass => 'another' })->status, 500, 'no password is stored';
    chmod 0600, $key;
    $server->restart;
    $outbox->wait_state($id, 'sent');
    is $second->mail_to('key@example.org')->user, 'mailer', 'then it is sent, with the password';
    set_smtp(form_for($first));
};

subtest 'the mailer is killed' => sub {
    my $killed = mailer();
    my $worker = join ' ', $server->pids_of('worker');
    my $mark   = $server->log_mark;
    kill KILL => $killed;
    is $server->request(GET => '/api/v1/health')->status, 200, 'requests are served';
    ok $server->log_like(qr/mailer \(process $killed\) was killed by signal 9/, since => $mark), 'the log says so';
    wait_for('another mailer', 30, sub { my $now = mailer(); $now && $now != $killed });
    is join(' ', $server->pids_of('worker')), $worker, 'no worker is touched';
    $outbox->wait_state($outbox->notice('after@example.org'), 'sent');
    is_deeply not_once(['after@example.org'], $first), {}, 'mails go on';
};

ok !grep({ index(slurp($server->log_file), $_) >= 0 } $PASSWORD, 'a wrong password', $people->secrets, map { $_->token // () } $first->messages, $second->messages),
    'no password and no token is in the log';

done_testing;
