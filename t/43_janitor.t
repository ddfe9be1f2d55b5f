# The janitor: what is past its time goes, what is not stays; one at work per database.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Verstak::Postgres;
use Verstak::Processes qw(alive slurp);
use Verstak::Server;
use Verstak::Wait qw(pause wait_for wait_until);

my $pg     = Verstak::Postgres->new(settings => { max_connections => 200 });
my %config = (
    'retention.interval'        => '100ms',
    'retention.blob_grace'      => '1m',
    'retention.upload_leftover' => '1m',
    'retention.audit'           => '1d',
    'retention.mail'            => '1d',
);
my $server = Verstak::Server->new(postgres => $pg, config => \%config);
my $dbh    = $pg->dbh;
my $token  = $server->new_device;

sub count_of ($table, $where = 'true') { return ($dbh->selectrow_array("SELECT count(*) FROM $table WHERE $where"))[0] }
sub file_of  ($sha256) { return join '/', $server->data, 'blobs', substr($sha256, 0, 2), substr($sha256, 2, 2), $sha256 }
sub age ($sha256, $interval) {
    my $statement = $dbh->prepare("UPDATE blobs SET touched_at = touched_at - '$interval'::interval WHERE sha256 = decode(?, 'hex')");
    return $statement->execute($sha256);
}

subtest 'blobs' => sub {
    my ($name, $password) = $server->create_user;
    my $leaver = $server->pair($name, $password);
    my %blob   = map { $_ => $server->upload($_ eq 'referenced' ? $token : $leaver, "blob $_")->{sha256} } qw(referenced young old gone);
    ok -e file_of($blob{$_}), "$_: the file is there" for sort keys %blob;
    $server->push($leaver, map { Verstak::Server::op() } 1 .. 3);
    $dbh->selectrow_array(slurp("$FindBin::Bin/../sql/queries/user_delete.sql") =~ s/\$1/'$name'/gr);
    ok wait_until(20, sub { count_of('blobs', 'NOT referenced') == 3 && count_of('operations') == 0 }),
        'the rows of a deleted user go';
    unlink file_of($blob{gone}) or die;
    age($blob{$_}, '2 minutes') for qw(referenced old gone);
    ok wait_until(20, sub { !-e file_of($blob{old}) }), 'old: the file is removed';
    ok wait_until(20, sub { !count_of('blobs', "sha256 IN (decode('$blob{old}', 'hex'), decode('$blob{gone}', 'hex'))") }),
        'the rows go, the one without a file, too';
    ok -e file_of($blob{$_}) && count_of('blobs', "sha256 = decode('$blob{$_}', 'hex')"), "$_: stays" for qw(referenced young);
    is $server->upload($token, 'blob old')->{sha256}, $blob{old}, 'a removed blob can be uploaded again';
};

subtest 'a deletion that is not committed' => sub {
    my ($name, $password) = $server->create_user;
    my $leaver = $server->pair($name, $password);
    my $sha256 = $server->upload($leaver, 'blob of a failed commit')->{sha256};
    $dbh->do(q{CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now'; END $$});
    $dbh->do('CREATE CONSTRAINT TRIGGER refuse AFTER DELETE ON blobs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()');
    my $mark = $server->log_mark;
    $dbh->selectrow_array(slurp("$FindBin::Bin/../sql/queries/user_delete.sql") =~ s/\$1/'$name'/gr);
    ok wait_until(20, sub { count_of('blobs', "NOT referenced AND sha256 = decode('$sha256', 'hex')") }), 'nothing references the blob';
    age($sha256, '2 minutes');
    ok $server->log_like(qr/not now/, since => $mark), 'the commit fails';
    ok wait_until(20, sub { -e file_of($sha256) }), 'the file is put back';
    $dbh->do('DROP TRIGGER refuse ON blobs');
    ok wait_until(20, sub { !-e file_of($sha256) && !count_of('blobs', "sha256 = decode('$sha256', 'hex')") }), 'and goes once it can be committed';
};

subtest 'accounts that nobody confirmed' => sub {
    my %user = map { $_ => ($server->create_user)[0] } qw(confirmed old young blocked);
    my $set  = sub ($name, $what) { return $dbh->do("UPDATE users SET $what WHERE name = ?", undef, $user{$name}) };
    $set->($_, q{created_at = now() - interval '8 days'}) for qw(confirmed blocked);
    $set->(blocked => 'blocked_at = now(), confirmed_at = NULL');
    $set->(young   => q{confirmed_at = NULL, created_at = now() - interval '6 days'});
    $set->(old     => q{confirmed_at = NULL, created_at = now() - interval '8 days'});
    ok wait_until(20, sub { !count_of('users', "name = '$user{old}'") }), 'go after their retention';
    is count_of('audit_log', "action = 'user.delete' AND actor = 'janitor' AND subject = 'user:$user{old}'"), 1, 'which the audit log has';
    is count_of('users', "name = '$user{$_}'"), 1, "not one that is $_" for qw(confirmed young blocked);
};

subtest 'e-mails' => sub {
    my ($name) = $server->create_user;
    my $put = sub ($to, $token) { $dbh->do(q{SELECT token_put('reset', NULL, ?, 'en', sha256(?::bytea), ?)}, undef, $to, $token, $token) };
    $dbh->do(q{UPDATE users SET email = 'somebody@example.org' WHERE name = ?}, undef, $name);
    $put->('somebody@example.org', $_) for qw(expired waiting);
    $put->('nobody@example.org', 'nobody');
    $dbh->do(q{UPDATE email_tokens SET expires_at = now() - interval '1 minute' WHERE token_hash <> sha256('waiting')});
    $dbh->do(q{UPDATE email_outbox SET expires_at = now() - interval '1 minute' WHERE secret <> 'waiting'});
    ok wait_until(20, sub { !count_of('email_outbox', q{secret <> 'waiting'}) }), 'texts of expired ones are cleared';
    is_deeply $dbh->selectcol_arrayref(q{SELECT state FROM email_outbox WHERE template = 'reset' ORDER BY 1}), ['failed', 'queued'], 'the one has failed, the other waits, that for nobody is gone';
    ok wait_until(20, sub { count_of('email_tokens') == 1 }), 'expired tokens go';
    $dbh->do(q{UPDATE email_outbox SET finished_at = now() - interval '2 days' WHERE state = 'failed'});
    ok wait_until(20, sub { !count_of('email_outbox', q{state = 'failed'}) }), 'finished ones go after their retention';
    is count_of('email_outbox', q{secret = 'waiting'}), 1, 'what waits stays';
};

subtest 'rows' => sub {
    my $old = q{clock_timestamp() - interval '3 days'};
    $server->push_response($token, [ Verstak::Server::op() ], idempotency_key => $_) for qw(kept gone);
    $dbh->do("UPDATE idempotency_keys SET created_at = $old WHERE key = 'gone'");
    $server->admin(GET => '/admin/api/stats');
    my $audit = count_of('audit_log');
    $dbh->do("UPDATE audit_log SET at = $old WHERE id = (SELECT min(id) FROM audit_log)");
    $dbh->do("UPDATE admin_sessions SET expires_at = $old");
    ok wait_until(20, sub { !count_of('idempotency_keys', "key = 'gone'") }), 'idempotency keys past their time go';
    is count_of('idempotency_keys', "key = 'kept'"), 1, 'younger ones stay';
    ok wait_until(20, sub { count_of('audit_log', "at <= $old + interval '1 hour'") == 0 }), 'audit rows past their time go';
    cmp_ok count_of('audit_log'), '>=', $audit - 1, 'younger ones stay';
    ok wait_until(20, sub { !count_of('admin_sessions') }), 'expired sessions go';
};

subtest 'left-over uploads' => sub {
    my $tmp = $server->data . '/blobs/tmp';
    my @file = map { "$tmp/left-$_" } qw(old young);
    for my $file (@file) {
        open my $fh, '>', $file or die "cannot write $file: $!";
        print {$fh} 'part of an upload';
        close $fh;
        my $user = Verstak::Postgres::run_as();
        chown +(getpwnam $user)[ 2, 3 ], $file if $user;
    }
    utime time - 300, time - 300, $file[0];
    ok wait_until(20, sub { !-e $file[0] }), 'an old one is removed';
    ok -e $file[1], 'a young one stays';
};

subtest 'one at work per database' => sub {
    ok wait_until(10, sub { count_of('leases') == 1 }), 'it has the lease';
    my ($holder) = $dbh->selectrow_array('SELECT holder FROM leases');
    my ($janitor) = $server->pids_of('janitor');
    like $holder, qr/:$janitor:/, 'in its name';
    my $other = Verstak::Server->new(postgres => $pg, config => { %config, 'database.url' => $pg->url });
    pause(0.5);
    is +($dbh->selectrow_array('SELECT holder FROM leases'))[0], $holder, 'a second server leaves it to the first';
    my ($next) = $other->pids_of('janitor');
    $server->stop;
    ok wait_until(20, sub { (($dbh->selectrow_array('SELECT holder FROM leases'))[0] // '') =~ /:$next:/ }),
        'until that one leaves and gives it back';
    $other->stop;
    is count_of('leases'), 0, 'nobody holds it in the end';
};

subtest 'the database goes away' => sub {
    $server->start;
    my ($janitor) = $server->pids_of('janitor');
    my $mark = $server->log_mark;
    $pg->stop('immediate');
    $server->log_like(qr/janitor\[$janitor\]: cleaning failed/, since => $mark);
    pause(1);
    my @said = substr(slurp($server->log_file), $mark) =~ /(cleaning failed)/g;
    is scalar @said, 1, 'it says so once';
    $pg->start;
    $server->log_like(qr/janitor\[$janitor\]: cleaning works again/, since => $mark, timeout => 30);
    ok alive($janitor), 'and goes on when the database is back';
};

done_testing;
