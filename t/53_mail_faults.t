# What a mail server can do to us: refuse for now or for good, hang, close, be slow, go away. Each time the row has the right state and answer, the log says
# what happened, no other mail is held up, and in the end every mail that could be delivered was delivered once.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Verstak::Outbox;
use Verstak::People;
use Verstak::Postgres;
use Verstak::Processes qw(slurp);
use Verstak::Server;
use Verstak::Smtp;
use Verstak::Wait qw(wait_for wait_until);

my $pg     = Verstak::Postgres->new;
my $smtp   = Verstak::Smtp->new(security => 'starttls', user => 'mailer', password => 'mail server password 7', auth_required => 1);
my %config = (
    'mail.poll'        => '1h',
    'mail.timeout'     => '4s',
    'mail.retry_min'   => '100ms',
    'mail.retry_max'   => '500ms',
    'mail.connections' => 2,
    $smtp->config,
);
my $server = Verstak::Server->new(postgres => $pg, config => \%config);
my $people = Verstak::People->new($server);
my $outbox = Verstak::Outbox->new($server);

sub addresses ($name, $count) {
    return map {"$name-$_\@example.org"} 1 .. $count;
}

# How often a mail arrived at each of the addresses, where it was not once: empty when all is well.
sub not_once (@recipients) {
    my %count;
    $count{ ($_->to)[0] }++ for $smtp->messages;
    return { map { ($_ => $count{$_} // 0) } grep { ($count{$_} // 0) != 1 } @recipients };
}

# A test between two times at which nothing waits and no rule is there.
sub fault ($name, $code) {
    return subtest $name => sub {
        $smtp->forget;
        $code->($server->log_mark);
        $smtp->remove_rule;
        $outbox->wait_drained;
    };
}

# --- the mail's own fault --------------------------------------------------------------------------------------------

for my $later ([ rcpt => '450 4.2.0 greylisted, come back' ], [ data => '452 4.3.1 no room' ], [ end => "451-4.3.0 busy\n451 4.3.0 come back" ]) {
    my ($step, $reply) = @$later;
    my ($code, $words) = ($reply =~ /\A(\d+)/, $reply =~ /(\w+ \w+)\z/);
    fault "4xx at $step" => sub ($mark) {
        my $rule = $smtp->rule(at => $step, do => 'reply', reply => $reply, to => '^later');
        my ($id, $other) = $outbox->notices('later@example.org', 'other@example.org');
        $outbox->wait_state($other, 'sent');
        my $row = $outbox->wait_state($id, 'retrying', tries => 2);
        like $row->{last_answer}, qr/$code\b.*$words/, 'the answer is in the outbox';
        isnt $row->{detail}, undef, 'the text is kept';
        like $server->log_like(qr/e-mail $id \(\w+\) to later\@example\.org: again in \d+ s/, since => $mark), qr/$code\b.*$words/, 'and in the log';
        $smtp->remove_rule($rule);
        cmp_ok $outbox->wait_state($id, 'sent')->{tries}, '>=', 3, 'sent by a later try';
        is_deeply not_once(qw(later@example.org other@example.org)), {}, 'each once';
    };
}

for my $never ([ rcpt => '550 5.1.1 no such user' ], [ data => '554 5.7.1 not from you' ], [ end => '554 5.7.1 no such content' ]) {
    my ($step, $reply) = @$never;
    fault "5xx at $step" => sub ($mark) {
        my $rule = $smtp->rule(at => $step, do => 'reply', reply => $reply, to => '^never');
        my ($id, $other) = $outbox->notices('never@example.org', 'other@example.org');
        $outbox->wait_state($other, 'sent');
        my $row = $outbox->wait_state($id, 'failed');
        is $row->{tries}, 1, 'tried once';
        like $row->{last_answer}, qr/\Q$reply\E/, 'the answer is in the outbox';
        like $server->log_like(qr/e-mail $id \(\w+\) to never\@example\.org: failed/, since => $mark), qr/\Q$reply\E/, 'and in the log';
        $outbox->wait_state($outbox->notice('third@example.org'), 'sent');
        is $smtp->fired($rule), 1, 'not tried again';
        is_deeply not_once(qw(other@example.org third@example.org)), {}, 'others arrive once';

        # An admin repairs it and has it sent again.
        $smtp->remove_rule($rule);
        is $server->admin(POST => "/admin/api/outbox/$id/retry", json => {})->status, 200, 'sent again by an admin';
        $outbox->wait_state($id, 'sent');
        is_deeply not_once('never@example.org'), {}, 'it arrives once';
        is $server->admin(POST => "/admin/api/outbox/$id/retry", json => {})->status, 409, 'a sent one is not sent again';
        is_deeply not_once('never@example.org'), {}, 'indeed';
    };
}

fault 'a server that repeats what it was told, and worse' => sub ($mark) {
    my $person = $people->person;
    $smtp->rule(at => 'end', do => 'reply', reply => "554-5.7.1 spam link {token}\n554 5.7.1 \e[31m\x07red\xff " . 'x' x 2000, times => 1);
    $server->expect_ok($people->register($person), 'register');
    my $row = wait_for('the mail', 20, sub { $outbox->row_to($person->{email}) });
    $row = $outbox->wait_state($row->{id}, 'failed');
    my ($line) = $server->log_like(qr/e-mail $row->{id} .*failed/, since => $mark);
    for my $what ([ outbox => $row->{last_answer} ], [ log => $line ]) {
        my ($where, $text) = @$what;
        like $text,   qr/554.*spam link/,  "$where: the answer is told";
        unlike $text, qr/[0-9a-f]{20}/,    "$where: without the token";
        unlike $text, qr/[\x00-\x1f\x7f]/, "$where: without control characters";
        cmp_ok length $text, '<', 800, "$where: in one line that is not too long";
    }
    is $server->admin(POST => "/admin/api/outbox/$row->{id}/retry", json => {})->status, 200, 'sent again by an admin';
    my $mail = $smtp->mail_to($person->{email});
    is $server->request(GET => '/api/v1/auth/confirm?token=' . $mail->token)->status, 200, 'its link works';
    ok index(slurp($server->log_file), $mail->token) < 0, 'the token is nowhere in the log';
};

# --- the server's fault ----------------------------------------------------------------------------------------------

my @trouble = (
    [ '554 as a greeting',  { at => 'connect', do => 'reply', reply => '554 5.3.2 no service here' }, qr/554.*no service here/ ],
    [ '421 as a greeting',  { at => 'connect', do => 'reply', reply => '421 4.3.2 come back later' }, qr/421.*come back later/ ],
    [ 'no greeting',        { at => 'connect', do => 'close' },                                       qr/\w/ ],
    [ 'silence',            { at => 'connect', do => 'hang' },                                        qr/time/ ],
    [ '454 to STARTTLS',    { at => 'starttls', do => 'reply', reply => '454 4.7.0 no TLS today' },   qr/STARTTLS/ ],
    [ '454 to AUTH',        { at => 'auth', do => 'reply', reply => '454 4.7.0 no login today' },     qr/454.*no login today/ ],
    [ '451 to the sender',  { at => 'mail', do => 'reply', reply => '451 4.3.0 not from you today' }, qr/451.*not from you today/ ],
    [ '550 to the sender',  { at => 'mail', do => 'reply', reply => '550 5.7.1 not from you' },       qr/550.*not from you/ ],
    [ 'silence to a login', { at => 'auth', do => 'hang' },                                           qr/time/ ],
);
for my $trouble (@trouble) {
    my ($name, $fault, $reason) = @$trouble;
    # On a connection that was opened for this, so that its beginning is met, too.
    fault $name => sub ($mark) {
        $smtp->stop->start;
        my $rule = $smtp->rule(%$fault);
        my @to   = addresses('trouble', 3);
        my @ids  = $outbox->notices(@to);
        wait_for('two tries', 40, sub { $smtp->fired($rule) >= 2 });
        my $tried = wait_for('a try in the outbox', 20, sub {
            my ($row) = grep { $_->{last_answer} =~ $reason } map { $outbox->row($_) } @ids;
            return $row;
        });
        is_deeply [ grep { !/\A(?:queued|retrying|sending)\z/ } map { $outbox->row($_)->{state} } @ids ], [], 'all wait';
        ok $server->log_like(qr/warning mailer\[\d+\]: the SMTP server .*$reason/, since => $mark), 'the log says why';
        $smtp->remove_rule($rule);
        $outbox->wait_state($_, 'sent') for @ids;
        is_deeply not_once(@to), {}, 'each arrives once in the end';
        ok $server->log_like(qr/info mailer\[\d+\]: the SMTP server .*again/, since => $mark), 'the log says that it works again';
        my $said = () = substr(slurp($server->log_file), $mark) =~ /warning mailer\[\d+\]: the SMTP server/g;
        is $said, 1, 'one line in all about the trouble';
    };
}

# --- in the middle of a mail -----------------------------------------------------------------------------------------

# One mail meets the fault at its first try; the others go past it. At "stored" the server keeps the message and does not say so: it has to come twice, and
# the recipient can see by the Message-ID that it is the same.
for my $what (qw(hang close)) {
    for my $step (qw(rcpt data content end stored accepted)) {
        fault "$what at $step" => sub ($mark) {
            my $rule = $smtp->rule(at => $step, do => $what, to => '^one@', times => 1);
            my $one  = $outbox->notice('one@example.org');
            wait_for('the fault', 20, sub { $smtp->fired($rule) });
            my @to = addresses('other', 12);
            $outbox->wait_state($_, 'sent') for $outbox->notices(@to);
            if ($what eq 'hang' && $step ne 'accepted') {
                like $server->log_like(qr/e-mail $one .*again in/, since => $mark), qr/time/, 'it is cut off';
            }
            my $row = $outbox->wait_state($one, 'sent');
            # Where nothing can have been kept a connection that was closed is opened again at once.
            cmp_ok $row->{tries}, '<=', $step eq 'accepted' ? 1 : 2, 'sent by this try at the latest';
            $outbox->wait_drained;
            is_deeply not_once(@to), {}, 'the others arrive once';
            my @mails = $smtp->messages('one@example.org');
            is scalar @mails, $step eq 'stored' ? 2 : 1, 'this one, too' . ($step eq 'stored' ? ', but the server kept it twice' : '');
            is scalar(keys %{ { map { $_->message_id => 1 } @mails } }), 1, 'one Message-ID';
        };
    }
}

fault 'a slow server' => sub ($mark) {
    $smtp->rule(at => $_, do => 'slow', seconds => 0.2) for qw(connect starttls mail rcpt data end);
    my @to = addresses('slow', 8);
    is $outbox->wait_state($_, 'sent')->{tries}, 1, 'sent at the first try' for $outbox->notices(@to);
    is_deeply not_once(@to), {}, 'each arrives once';
};

fault 'a server that closes after three mails' => sub ($mark) {
    my @to = addresses('three', 20);
    $smtp->rule(at => 'accepted', do => 'close', accepted => 3);
    $outbox->wait_state($_, 'sent') for $outbox->notices(@to);
    is_deeply not_once(@to), {}, 'each arrives once';
    is scalar(my @lines = substr(slurp($server->log_file), $mark) =~ /takes no e-mails/g), 0, 'that is no trouble';
};

fault 'a server that says 421 after three mails' => sub ($mark) {
    my @to = addresses('three', 20);
    $smtp->rule(at => 'mail', do => 'close', reply => '421 4.7.0 too many mails', accepted => 3);
    $outbox->wait_state($_, 'sent') for $outbox->notices(@to);
    is_deeply not_once(@to), {}, 'each arrives once';
};

fault 'connections are kept' => sub ($mark) {
    $smtp->stop->start;
    my $before = $smtp->connections;
    my @to     = addresses('kept', 60);
    $outbox->wait_state($_, 'sent') for $outbox->notices(@to);
    is_deeply not_once(@to), {}, 'each arrives once';
    cmp_ok $smtp->connections - $before, '<=', $config{'mail.connections'}, 'over no more connections than the configuration allows';
};

# --- the server goes away --------------------------------------------------------------------------------------------

fault 'down for a while' => sub ($mark) {
    $smtp->stop;
    my @to  = addresses('down', 20);
    my @ids = $outbox->notices(@to);
    like $server->log_like(qr/warning mailer\[\d+\]: the SMTP server/, since => $mark), qr/127\.0\.0\.1/, 'the log says so';
    is $server->request(GET => '/api/v1/health')->status, 200, 'the server is well all the same';
    my $person = $people->person;
    is $people->register($person)->status, 200, 'people can register';
    is $server->admin(GET => '/admin/api/stats')->json->{mails_waiting}, 21, 'the statistics tell how many mails wait';
    $smtp->start;
    $outbox->wait_drained;
    is $outbox->count('failed'), 0, 'none failed';
    is_deeply not_once(@to, $person->{email}), {}, 'each arrives once';
};

fault 'killed in the middle of it all, twice' => sub ($mark) {
    my @to = addresses('crash', 300);
    $outbox->notices(@to);
    for my $share (60, 160) {
        wait_for('a part', 60, sub { $smtp->count >= $share });
        $smtp->stop->start;
    }
    $outbox->wait_drained;
    is $outbox->count('failed'), 0, 'none failed';
    my %more = %{ not_once(@to) };
    is_deeply [ grep { $more{$_} == 0 } keys %more ], [], 'each arrives';
    cmp_ok scalar(keys %more), '<=', 2 * $config{'mail.connections'}, 'twice only what the dying server had kept and not confirmed: ' . keys %more;
    for my $to (sort keys %more) {
        my %id = map { $_->message_id => 1 } $smtp->messages($to);
        is scalar(keys %id), 1, "$to: one Message-ID";
    }
};

fault 'frozen' => sub ($mark) {
    $smtp->freeze;
    my @to  = addresses('frozen', 6);
    my @ids = $outbox->notices(@to);
    like $server->log_like(qr/warning mailer\[\d+\]: the SMTP server/, since => $mark, timeout => 40), qr/time/, 'cut off after mail.timeout';
    $smtp->thaw;
    $outbox->wait_drained;
    is_deeply not_once(@to), {}, 'each arrives once in the end';
};

# --- the bad among the good ------------------------------------------------------------------------------------------

fault 'bad recipients hold nobody up' => sub ($mark) {
    my %bad = (
        'unknown@example.org' => { at => 'rcpt',    do => 'reply', reply => '550 5.1.1 no such user' },
        'grey@example.org'    => { at => 'rcpt',    do => 'reply', reply => '451 4.7.1 greylisted' },
        'hang@example.org'    => { at => 'content', do => 'hang' },
        'close@example.org'   => { at => 'end',     do => 'close' },
        'spam@example.org'    => { at => 'end',     do => 'reply', reply => '554 5.7.1 spam' },
    );
    my %rule = map { $_ => $smtp->rule(%{ $bad{$_} }, to => "^\Q$_\E\$") } sort keys %bad;
    my @good = addresses('good', 100);
    # The bad ones are the oldest.
    my %id = map { $_ => $outbox->notice($_) } sort keys %bad, 'почта@example.org', 'a"b<c>@example.org';
    $outbox->wait_state($_, 'sent') for $outbox->notices(@good);
    is_deeply not_once(@good), {}, 'every good one has arrived';
    is $outbox->wait_state($id{$_}, 'failed')->{tries}, 1, "$_: failed at once" for 'unknown@example.org', 'spam@example.org', 'a"b<c>@example.org';
    $outbox->wait_state($id{'почта@example.org'}, 'failed');
    isnt $outbox->row($id{$_})->{state}, 'failed', "$_: still to come" for qw(grey@example.org hang@example.org close@example.org);
    my @later = addresses('later', 30);
    $outbox->wait_state($_, 'sent') for $outbox->notices(@later);
    is_deeply not_once(@later), {}, 'nor are those that come later held up';
    $smtp->remove_rule;
    my @mended = qw(grey@example.org hang@example.org close@example.org);
    $outbox->wait_state($id{$_}, 'sent') for @mended;
    is_deeply not_once(@mended), {}, 'those that can be delivered in the end are, once';
};

fault 'given up' => sub ($mark) {
    $server->write_config('mail.give_up' => '2s')->reload;
    my $rule = $smtp->rule(at => 'rcpt', do => 'reply', reply => '451 4.7.1 greylisted', to => '^grey');
    my $id   = $outbox->notice('grey@example.org');
    my $row  = $outbox->wait_state($id, 'failed');
    cmp_ok $row->{tries}, '>=', 2, 'after several tries';
    like $row->{last_answer}, qr/451 4\.7\.1 greylisted/, 'with the last answer';
    ok $server->log_like(qr/e-mail $id .*failed for good.*451/, since => $mark), 'and a line in the log';
    $smtp->remove_rule($rule);
    is $server->admin(POST => "/admin/api/outbox/$id/retry", json => {})->status, 200, 'an admin can have it sent again';
    $outbox->wait_state($id, 'sent');
};

fault 'one that hangs holds nobody up' => sub ($mark) {
    $server->write_config('mail.give_up' => undef, 'mail.timeout' => '10m')->reload;
    my $rule = $smtp->rule(at => 'end', do => 'hang', to => '^one@', times => 1);
    my $one  = $outbox->notice('one@example.org');
    wait_for('the fault', 20, sub { $smtp->fired($rule) });
    my @to = addresses('past', 30);
    $outbox->wait_state($_, 'sent') for $outbox->notices(@to);
    is_deeply not_once(@to), {}, 'others arrive';
    is $outbox->row($one)->{state}, 'sending', 'while it hangs';
    $smtp->remove_rule($rule);
    $smtp->stop->start;
    $outbox->wait_state($one, 'sent');
    is_deeply not_once('one@example.org'), {}, 'it is sent when the server has left that alone';
};

is $outbox->waiting, 0, 'nothing waits in the end';
ok index(slurp($server->log_file), 'mail server password 7') < 0, 'the password of the mail server is not in the log';

done_testing;
