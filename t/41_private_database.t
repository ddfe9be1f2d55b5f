# The private PostgreSQL: made on the first start, closed to others, durable, and recovered from every crash without a person.
use v5.36;
use DBI;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Test::More;
use Verstak::Postgres;
use Verstak::Processes qw(alive children_of descendants running_uid slurp title);
use Verstak::Server;
use Verstak::Wait qw(pause wait_for wait_until);

my $user = Verstak::Postgres::run_as();
my $base = tempdir(CLEANUP => 1, DIR => $ENV{VERSTAK_TEST_TMPDIR} // '/tmp');
chmod 0711, $base;

sub op ($id) { return Verstak::Server::op(op_id => $id) }
sub ids_of ($server, $token) { return [ map { $_->{op_id} } $server->pull_all($token) ] }

sub superuser ($server) {
    return DBI->connect("dbi:Pg:dbname=verstak;port=5432;host=${\ $server->data}/run", 'postgres', '', { RaiseError => 1, PrintError => 0 });
}

# A process of the server's user that does nothing.
sub sleeper () {
    my $pid = fork // die "cannot fork: $!\n";
    return $pid if $pid;
    { no warnings 'exec'; exec +($user ? ('setpriv', "--reuid=$user", '--clear-groups', '--') : ()), 'sleep', 600; }
    POSIX::_exit(127);
}

# Starts and expects that it gives up: (exit status, its log).
sub failed_start ($server) {
    my $mark = $server->log_mark;
    $server->spawn($server->arguments);
    wait_for('the server to give up', 30, sub { !$server->running });
    return ($server->{status} >> 8, substr slurp($server->log_file), $mark);
}

my $server = Verstak::Server->new(database => 'private', crash_expected => 1);
my $token  = $server->new_device;
$server->push($token, op('first'));

subtest 'the cluster' => sub {
    my $dbh = superuser($server);
    my $is  = sub ($name, $value) { is +($dbh->selectrow_array("SHOW $name"))[0], $value, "$name = $value" };
    $is->($_, 'on')  for qw(fsync synchronous_commit full_page_writes data_checksums);
    $is->($_, 'off') for qw(jit logging_collector);
    $is->(listen_addresses        => '');
    $is->(unix_socket_permissions => '0700');
    $is->(server_encoding         => 'UTF8');
    $is->(lc_collate              => 'C');
    is +($dbh->selectrow_array(q{SELECT lower(U&'\00C4\0416') = U&'\00E4\0436'}))[0], 1, 'lower() knows more letters than ASCII has';
    $is->(unix_socket_directories => '"' . $server->data . '/run"');
    my ($buffers, $connections) = map { ($dbh->selectrow_array("SELECT setting::bigint FROM pg_settings WHERE name = '$_'"))[0] }
        qw(shared_buffers max_connections);
    cmp_ok $buffers * 8192, '>=', 64 << 20, 'shared_buffers is at least 64 MiB';
    cmp_ok $buffers * 8192, '<=', 2 << 30,  'and at most 2 GiB';
    cmp_ok $connections, '>=', 2 * 2 * (1 + 8) + 3, 'connections for two generations of workers';
    ok !($dbh->selectrow_array(q{SELECT rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = 'verstak'}))[0],
        'the role of the server has no power over the cluster';
    is +($dbh->selectrow_array('SELECT count(*) FROM pg_file_settings WHERE error IS NOT NULL'))[0], 0, 'no setting is wrong';
    for my $dir ($server->data, map { $server->data . "/$_" } qw(run postgres)) {
        is sprintf('%o', (stat $dir)[2] & 07777), '700', "$dir is closed to others";
    }
    my ($pid) = $server->pids_of('postgres');
    like title($pid), qr{postgres -D \Q${\ $server->data}\E/postgres}, 'ps shows it';
    my $owner = getpwuid running_uid($pid);
    is +(slurp("/proc/$pid/environ") =~ /(?:\A|\0)HOME=([^\0]*)/)[0], (getpwnam $owner)[7], 'its home is that of its user'
        if $> == 0;
    my %inode = map { /^socket:\[(\d+)\]/ ? ($1 => 1) : () } map { readlink($_) // '' } glob "/proc/$pid/fd/*";
    my @tcp   = map { (split)[9] } map { split /\n/, slurp("/proc/net/$_") // '' } 'tcp', 'tcp6';
    is_deeply [ grep { $inode{$_} } @tcp ], [], 'it has no TCP socket';
    $dbh->disconnect;
};

subtest 'an orderly stop' => sub {
    is $server->stop, 0, 'exit status 0';
    my $state = qx(@{[ Verstak::Postgres::bin_dir() ]}/pg_controldata ${\ $server->data}/postgres | grep 'cluster state');
    like $state, qr/shut down$/m, 'PostgreSQL was shut down';
    ok !-e $server->data . '/postgres/postmaster.pid', 'nothing is left over';
    $server->start;
    is_deeply ids_of($server, $token), ['first'], 'the next start has the data';
};

subtest 'kill -9 of PostgreSQL' => sub {
    my @workers = $server->pids_of('worker');
    for my $round (1 .. 3) {
        my ($postmaster) = $server->pids_of('postgres');
        my $mark = $server->log_mark;
        $server->push($token, op("round $round"));
        # A long statement keeps its backend, and with it the shared memory, after the postmaster is gone.
        my $dbh = $server->dbh;
        $dbh->{pg_server_prepare} = 0;
        $dbh->do('SELECT pg_sleep(120)', { pg_async => 1 });
        kill KILL => $postmaster;
        $server->log_like(qr/postgres \(process $postmaster\) was killed by signal 9 \(Killed\); starting it again in 2 s/, since => $mark);
        # Backends outlive their postmaster for a moment and still answer, so that only the next one says that it is back.
        ok wait_until(60, sub { my ($next) = $server->pids_of('postgres'); $next && $next != $postmaster }), "round $round: it is started";
        my $ids;
        ok wait_until(60, sub { $ids = eval { ids_of($server, $token) } }), "round $round: it is back";
        is $ids->[-1], "round $round", "round $round: what was acknowledged is there";
        ok wait_until(60, sub { eval { $server->push($token, op("round $round")); 1 } }), "round $round: and it is written to again";
        local $SIG{__WARN__} = sub { };
        undef $dbh;
    }
    is_deeply [ $server->pids_of('worker') ], \@workers, 'the workers stayed';
};

subtest 'kill -9 of the master' => sub {
    for my $round (1 .. 2) {
        my @pids = $server->pids;
        $server->push($token, op("master $round"));
        $server->kill9;
        $server->start;
        is ids_of($server, $token)->[-1], "master $round", "round $round: started again at once, nothing is lost";
        ok wait_until(20, sub { !grep { alive($_) } @pids }), "round $round: no process of the former server is left";
    }
};

subtest 'the machine crashes' => sub {
    $server->push($token, op('crash'));
    $server->kill9(whole => 1);
    my $pid_file = $server->data . '/postgres/postmaster.pid';
    ok -e $pid_file, 'postmaster.pid is left over';
    # After the reboot its process id is another process's, of the same user.
    my $other = sleeper();
    my @lines = split /\n/, slurp($pid_file), -1;
    $lines[0] = $other;
    for my $file ($pid_file, $server->data . '/run/.s.PGSQL.5432.lock') {
        open my $fh, '>', $file or die "cannot write $file: $!";
        print {$fh} join "\n", @lines;
        close $fh;
    }
    $server->start;
    is ids_of($server, $token)->[-1], 'crash', 'it starts, and nothing is lost';
    ok alive($other), 'the other process was left alone';
    kill KILL => $other;
    waitpid $other, 0;
};

subtest 'HUP and the private database' => sub {
    $server->log_like(qr/master\[\d+\]: ready/);    # both workers: else this generation is given up for the next one
    my ($postmaster) = $server->pids_of('postgres');
    my $mark = $server->log_mark;
    $server->write_config('database.url' => 'postgresql://elsewhere/verstak', 'postgres.shared_buffers' => '128MiB');
    $server->signal('HUP');
    $server->log_like(qr/$_ changed: that needs a restart/, since => $mark) for 'database\.url', 'postgres\.shared_buffers';
    $server->log_like(qr/generation 2 is ready/, since => $mark);
    is_deeply [ $server->pids_of('postgres') ], [$postmaster], 'PostgreSQL goes on';
    $server->write_config('database.url' => undef);
    $server->restart;
    is +(superuser($server)->selectrow_array('SHOW shared_buffers'))[0], '128MB', 'the restart brings the new size';
};

subtest 'commands without a running server' => sub {
    is $server->stop, 0, 'stopped';
    my $binary = Verstak::Server::binary();
    my $output = qx($binary user list --data ${\ $server->data} @{[ $user ? "--user $user" : '' ]} 2>&1);
    is $?, 0, 'user list: exit status';
    like $output, qr/user-1/, 'user list: it shows the user';
    ok !grep({ (slurp("/proc/$_/cmdline") // '') =~ m{\Q${\ $server->data}\E} } map { m{(\d+)} } glob '/proc/[0-9]*'),
        'no process is left';
    ok !-e $server->data . '/postgres/postmaster.pid', 'PostgreSQL was shut down';
    my $empty = "$base/typo";
    mkdir $empty;
    $output = qx($binary user list --data $empty 2>&1);
    isnt $?, 0, 'a directory without a database: refused';
    like $output, qr/no database in '\Q$empty\E'/, 'with a message';
    is_deeply [ glob "$empty/*" ], [], 'nothing was made there';
};

subtest 'another major version' => sub {
    my $file = $server->data . '/postgres/PG_VERSION';
    my $true = slurp($file);
    open my $fh, '>', $file or die;
    print {$fh} "12\n";
    close $fh;
    my ($status, $log) = failed_start($server);
    is $status, 3, 'exit status';
    like $log, qr/is of PostgreSQL 12, but the programs in .* are of PostgreSQL \d+; .*pg_upgrade/, 'the message names the upgrade';
    open $fh, '>', $file or die;
    print {$fh} $true;
    close $fh;
    $server->start;
    is $server->stop, 0, 'nothing was touched';
};

subtest 'starts that fail' => sub {
    my $deep = Verstak::Server->new(database => 'private', start => 0);
    my $long = $deep->{data} . '/' . 'x' x 90;
    $deep->{data} = $long;
    $deep->{args} = [ '--user', $user ] if $user;    # the configuration file lies in the other directory
    make_path($long);
    chmod 0711, $deep->base . '/data';
    my ($status, $log) = failed_start($deep);
    is $status, 3, 'socket path too long: exit status';
    like $log, qr/too long: PostgreSQL's socket in it would have \d+ bytes, a Unix socket can have 107/, 'socket path too long: message';

    my $no_programs = Verstak::Server->new(database => 'private', start => 0, config => { 'postgres.bin_dir' => $base });
    ($status, $log) = failed_start($no_programs);
    is $status, 3, 'no programs: exit status';
    like $log, qr/'\Q$base\E' has no PostgreSQL server programs/, 'no programs: message';
    ok !-e $no_programs->data . '/postgres', 'no programs: nothing was made';
};

# The limit of the size of a file takes a part of a write, as a full disk does.
subtest 'no room for the last line of postgresql.conf' => sub {
    my $full = Verstak::Server->new(database => 'private', crash_expected => 1);
    $full->stop;
    my $file = $full->data . '/postgres/postgresql.conf';
    my $text = slurp($file);
    my ($rest, $line) = $text =~ /\A(.*)(\n# Settings of verstak-sync-server.*\ninclude = .*\n)\z/s or return fail 'the line is there';
    open my $fh, '+<', $file or die "cannot open '$file': $!\n";
    truncate $fh, length $rest;
    close $fh;
    my $program = "$base/limited";
    open $fh, '>', $program or die;
    say {$fh} "#!/bin/sh\nexec prlimit --fsize=", length($text) - 8, " -- '${\ Verstak::Server::binary()}' \"\$@\"";
    close $fh;
    chmod 0755, $program;
    my $mark = $full->log_mark;
    {
        local $ENV{VERSTAK_BIN} = $program;
        $full->spawn($full->arguments);
    }
    $full->log_like(qr/postgres.* starting it again in/, since => $mark);
    $full->kill9(whole => 1);
    $full->start;
    is $full->request(GET => '/readyz')->status, 200, 'with room again it starts';
    is slurp($file), $text, 'and the file is as it was';
};

subtest 'initdb interrupted' => sub {
    my $fresh = Verstak::Server->new(database => 'private', start => 0, crash_expected => 1);
    my $data  = $fresh->data;
    # At different points on the way: as soon as the directory is there, when there is a part of the files, and late.
    for my $point ("$data/postgres.new", "$data/postgres.new/global/pg_control", "$data/postgres") {
        last if -e "$data/postgres";
        $fresh->spawn($fresh->arguments);
        my $reached = wait_until(30, sub { -e $point || -e "$data/postgres" });
        $fresh->kill9(whole => 1);
        ok $reached, "killed at $point";
    }
    $fresh->start;
    ok !-e "$data/postgres.new", 'the next start leaves nothing of it';
    my $device = $fresh->new_device;
    $fresh->push($device, op('after'));
    is_deeply ids_of($fresh, $device), ['after'], 'and works';

    my $killed = Verstak::Server->new(database => 'private', start => 0, crash_expected => 1);
    $killed->spawn($killed->arguments);
    wait_for('initdb', 30, sub { -e $killed->data . '/postgres.new/global' });
    $killed->kill9;    # the master alone
    $killed->start;
    is $killed->request(GET => '/readyz')->status, 200, 'kill -9 of the master alone meanwhile';
    $killed->stop;

    my $stopped = Verstak::Server->new(database => 'private', start => 0);
    $stopped->spawn($stopped->arguments);
    wait_for('initdb', 30, sub { -e $stopped->data . '/postgres.new/global' });
    $stopped->signal('TERM');
    ok wait_until(20, sub { !$stopped->running }), 'TERM meanwhile: it leaves';
    $stopped->start;
    is $stopped->request(GET => '/readyz')->status, 200, 'and starts again';
};

done_testing;
