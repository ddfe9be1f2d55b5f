# kill -9 of the mailer at random moments, and two mailers at once: every mail is delivered, none is lost, and none is delivered twice but those that the mail
# server had accepted when the mailer was killed before it could write that down; these come again with the same Message-ID.
# VERSTAK_TEST_ROUNDS (30), VERSTAK_TEST_SEED.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Verstak::Hammer;
use Verstak::Outbox;
use Verstak::Postgres;
use Verstak::Server;
use Verstak::Smtp;
use Verstak::Wait qw(pause wait_for wait_until);

my $rounds = $ENV{VERSTAK_TEST_ROUNDS} // (($ENV{VERSTAK_SUITE} // '') eq 'sanitizers' ? 10 : 30);
my $seed   = $ENV{VERSTAK_TEST_SEED} // time;
my $MAILS  = 200;
srand $seed;
note "seed $seed, $rounds rounds of $MAILS mails";

my $pg     = Verstak::Postgres->new;
my $smtp   = Verstak::Smtp->new;
my %config = (
    'mail.poll'                  => '1h',
    'mail.timeout'               => '2s',
    'database.statement_timeout' => '1s',    # the lease is made of both
    'mail.connections'           => 4,
    'mail.retry_min'             => '200ms',
    $smtp->config,
);

sub mailer_of ($server) {
    return wait_for('one mailer', 60, sub { my @pid = $server->pids_of('mailer'); @pid == 1 && $pid[0] });
}

# { recipient => [messages] } of what arrived since the last forget.
sub delivered () {
    my %by;
    push @{ $by{ ($_->to)[0] } }, $_ for $smtp->messages;
    return \%by;
}

# What is wrong with the deliveries of these recipients; those in $unrecorded (recipient => times) may come that much oftener.
sub defects ($recipients, $unrecorded = {}) {
    my $by = delivered();
    my @defects;
    for my $recipient (@$recipients) {
        my @mails = @{ delete $by->{$recipient} // [] };
        my %id    = map { $_->message_id => 1 } @mails;
        push @defects, "$recipient: lost"                                               if !@mails;
        push @defects, "$recipient: delivered " . @mails . ' times'                     if @mails > 1 + ($unrecorded->{$recipient} // 0);
        push @defects, "$recipient: delivered with Message-IDs " . join ' ', sort keys %id if keys %id > 1;
    }
    push @defects, map {"$_: nobody asked for it"} sort keys %$by;
    return @defects;
}

subtest 'kill -9 of the mailer' => sub {
    my $server = Verstak::Server->new(postgres => $pg, config => \%config);
    my $outbox = Verstak::Outbox->new($server);
    my $hammer = Verstak::Hammer->new($server->port, processes => 2, rest => 0.01, path => '/api/v1/health');
    my $mark   = $server->log_mark;
    my (@recipients, %unrecorded, %moment);
    for my $round (1 .. $rounds) {
        my $mailer = mailer_of($server);
        my $before = $smtp->count;
        my @new    = map {"r$round-$_\@example.org"} 1 .. $MAILS;
        push @recipients, @new;
        # Some at once, so that the kill also meets mails in the making and a mailer that has nothing to do.
        $outbox->notices(@new);
        my $goal = $before + int rand $MAILS * 1.05;
        wait_until(60, sub { $smtp->count >= $goal || !$outbox->count('queued') }) or die "round $round: the mailer does not go on\n";
        pause(rand 0.02);
        kill KILL => $mailer;
        wait_for('the mailer to be gone', 10, sub { !kill 0 => $mailer or !grep { $_ == $mailer } $server->pids_of('mailer') });
        my $held = $outbox->dbh->selectcol_arrayref(
            q{SELECT recipient FROM email_outbox WHERE state = 'sending' AND split_part(lease_holder, ':', 2) = ?}, undef, $mailer);
        $unrecorded{$_}++ for @$held;
        $moment{ @$held ? 'at work' : 'idle' }++;
    }
    $outbox->wait_drained(timeout => 120);
    is $outbox->count('sent'), scalar @recipients, 'every mail is recorded as sent';
    is_deeply [ defects(\@recipients, \%unrecorded) ], [], "nothing lost or doubled in $rounds rounds" or diag "seed $seed";

    # Those that came twice: at most what one mailer can have had in the air, for each kill.
    my $by     = delivered();
    my @twice  = grep { @{ $by->{$_} } > 1 } @recipients;
    my $in_air = 4 * $config{'mail.connections'};
    cmp_ok scalar @twice, '<=', $rounds * $in_air, 'few came twice: ' . @twice;
    cmp_ok $moment{'at work'} // 0, '>=', $rounds / 3, 'most kills hit a mailer at work: ' . ($moment{'at work'} // 0);

    my ($count, @failed) = $hammer->stop;
    is_deeply \@failed, [], "no request of $count failed meanwhile";
    cmp_ok $count, '>', $rounds, 'there were requests';
    my @said = substr($server->log_text, 0) =~ /^(.*mailer.*signal 9.*)$/mg;
    is scalar @said, $rounds, 'each kill is a line in the log';
    is scalar(my @workers = $server->log_text =~ /worker \d+ \(process \d+\) (?:left|was killed|died)/g), 0, 'and nothing else has ended';
    $server->stop;
};

subtest 'two mailers at once' => sub {
    $smtp->forget;
    my @server = map { Verstak::Server->new(postgres => $pg, config => { %config, 'database.url' => $pg->url }) } 1 .. 2;
    my $outbox = Verstak::Outbox->new($server[0]);
    my @recipients = map {"both-$_\@example.org"} 1 .. 5 * $MAILS;
    my @ids;
    while (my @some = @recipients[ scalar @ids .. $#recipients ]) {
        push @ids, $outbox->notices(@some > $MAILS ? @some[ 0 .. $MAILS - 1 ] : @some);
    }
    $outbox->wait_drained(timeout => 120);
    is_deeply [ defects(\@recipients) ], [], 'each mail is delivered once';
    my @sent = map { scalar(() = $_->log_text =~ /e-mail \d+ \(\w+\) to both-\d+\@example\.org: sent/g) } @server;
    is $sent[0] + $sent[1], scalar @recipients, 'each is in one log';
    cmp_ok $_, '>', @recipients / 20, "both had a share: $_" for @sent;

    # One leaves in the middle, the other takes over what it had.
    $smtp->forget;
    my @more = map {"rest-$_\@example.org"} 1 .. 2 * $MAILS;
    $outbox->notices(@more);
    wait_for('a part of them', 60, sub { $smtp->count >= $MAILS / 4 });
    $server[1]->stop;
    $outbox->wait_drained(timeout => 120);
    is_deeply [ defects(\@more) ], [], 'one mailer is stopped: each mail is delivered once';

    # A mailer that stands still past its lease: the other takes over, and it does not send what is not its own any more.
    $smtp->forget;
    $server[1]->start;
    my @late = map {"late-$_\@example.org"} 1 .. $MAILS;
    my $rule = $smtp->rule(at => 'rcpt', do => 'slow', seconds => 0.05);
    $outbox->notices(@late);
    my $stopped = mailer_of($server[1]);
    wait_for('it to hold some', 60, sub {
        return $outbox->dbh->selectrow_array(
            q{SELECT count(*) FROM email_outbox WHERE state = 'sending' AND split_part(lease_holder, ':', 2) = ?}, undef, $stopped);
    });
    kill STOP => $stopped;
    $smtp->remove_rule($rule);
    my %held = map { $_ => 1 } @{ $outbox->dbh->selectcol_arrayref(
        q{SELECT recipient FROM email_outbox WHERE state = 'sending' AND split_part(lease_holder, ':', 2) = ?}, undef, $stopped) };
    $outbox->wait_drained(timeout => 120);
    kill CONT => $stopped;
    $outbox->wait_state($outbox->notice('last@example.org'), 'sent');
    wait_for('what it had begun to end', 30, sub { $smtp->messages('last@example.org') });
    $_->stop for @server;
    is_deeply [ defects([ @late, 'last@example.org' ], \%held) ], [], 'one mailer stands still: nothing is lost, only what it had begun may come twice';
    my $by = delivered();
    my @twice = grep { @{ $by->{$_} } > 1 } @late;
    cmp_ok scalar @twice, '<=', $config{'mail.connections'}, 'and that is at most one mail a connection: ' . @twice;
};

done_testing;
