# The processes: titles, each signal, crash and back-off, reload good and bad, starts that must fail with a message that helps.
# One cluster for all; the private one has t/41_private_database.t, SIGUSR2 has t/42_upgrade.t.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use IO::Socket::UNIX;
use Socket qw(SOCK_DGRAM);
use Test::More;
use Time::HiRes qw(time);
use Verstak::Hammer;
use Verstak::HTTP;
use Verstak::Postgres;
use Verstak::Processes qw(alive children_of descendants parent running_uid slurp title);
use Verstak::Server;
use Verstak::Wait qw(pause wait_for wait_until);

my $pg   = Verstak::Postgres->new(settings => { max_connections => 300 });
my $root = $> == 0;

sub new_server (%option) {
    state $number = 0;
    my $url = $pg->create_database('p' . ++$number);
    return Verstak::Server->new(postgres => $pg, %option, config => { 'database.url' => $url, %{ $option{config} // {} } });
}

sub count_of ($server, $kind) {
    my @pids = $server->pids_of($kind);
    return scalar @pids;
}

# Runs the program to its end: (exit status, what it printed).
sub run_program (@arguments) {
    my $binary = Verstak::Server::binary();
    my $file   = File::Temp->new;
    my $pid    = fork // die "cannot fork: $!\n";
    if (!$pid) {
        open STDIN,  '<',  '/dev/null';
        open STDOUT, '>&', $file;
        open STDERR, '>&', $file;
        delete @ENV{ grep { /\AVERSTAK_(?!TEST)/ } keys %ENV };
        { no warnings 'exec'; exec { $binary } $binary, @arguments; }
        POSIX::_exit(127);
    }
    wait_until(30, sub { waitpid($pid, 1) == $pid }) or do { kill KILL => $pid; waitpid $pid, 0 };
    return ($? >> 8, slurp($file->filename));
}

# A start that fails: the exit status and message are what an operator sees.
sub refused_start ($server, $status, $message, $what) {
    my $mark = $server->log_mark;
    $server->spawn($server->arguments);
    wait_for("$what: the server to give up", 30, sub { !$server->running });
    is $server->{status} >> 8, $status, "$what: exit status";
    like substr(slurp($server->log_file), $mark), $message, "$what: message";
    return;
}


subtest 'titles and secrets' => sub {
    my $server = new_server(args => [ '--admin-user', 'ann', '--admin-pass', 'visible-password' ]);
    is title($server->pid), 'verstak-sync-server: master', 'the master';
    my @titles = sort map { title($_) } children_of($server->pid);
    is_deeply \@titles,
        [ map { "verstak-sync-server: $_" } 'janitor', 'mailer', 'worker 1', 'worker 2' ], 'its children';
    for my $pid ($server->pid, children_of($server->pid)) {
        unlike slurp("/proc/$pid/cmdline"), qr/visible-password/, title($pid) . ': no password in the command line';
        unlike slurp("/proc/$pid/environ"), qr/postgresql:/, title($pid) . ': no connection string in the environment';
    }
    like slurp($server->config_file), qr/username: "?ann"?/, '--admin-user is in config.yml';
    is sprintf('%o', (stat $server->data)[2] & 07777), '700', 'the data directory is closed';
    is $server->stop, 0, 'TERM: exit status 0';
    like $server->log_text, qr/stopped$/m, 'and it says so';
};

subtest 'TERM finishes what is in flight, a second one does not wait' => sub {
    my $server  = new_server();
    my $request = "POST /api/auth/test HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\n";
    my $body    = '{"username": "nobody", "password": "no"}';
    my $slow    = $server->connect;
    $slow->send($request . substr $body, 0, 10);
    pause(0.3);    # the head has to be at a worker for the request to be in flight
    my @pids = ($server->pid, children_of($server->pid));
    $server->signal('TERM');
    $server->log_like(qr/stopping: no new/);
    ok wait_until(10, sub { !eval { $server->connect } }), 'new connections are refused';
    ok $server->running, 'the server waits for the request';
    $slow->send(substr $body, 10);
    my $answer = $slow->response;
    is $answer && $answer->status, 401, 'the request gets its answer';
    ok wait_until(10, sub { !$server->running }), 'then the server leaves';
    is $server->{status}, 0, 'with status 0';
    ok !(grep { alive($_) } @pids), 'no process is left';

    $server->start;
    $slow = $server->connect;
    $slow->send($request . substr $body, 0, 10);
    pause(0.3);
    $server->signal('TERM');
    $server->log_like(qr/stopping: no new/);
    my $before = time;
    $server->signal('TERM');
    ok wait_until(8, sub { !$server->running }), 'a second TERM: it leaves at once';
    cmp_ok time - $before, '<', 5, 'within seconds';
    $server->start;
    is $server->stop(signal => 'INT'), 0, 'INT is TERM';
};

subtest 'HUP replaces the workers' => sub {
    my $server = new_server();
    my @old    = $server->pids_of('worker');
    my $uptime = sub { $server->request(GET => '/api/v1/health')->json->{uptime_seconds} };
    my ($since, $up);
    wait_for('the uptime to grow', 20, sub { $since = time; ($up = $uptime->()) >= 2 });
    my $load   = Verstak::Hammer->new($server->port);
    my $mark   = $server->log_mark;
    $server->write_config('server.workers' => 3)->signal('HUP');
    $server->log_like(qr/generation 2 is ready/, since => $mark);
    ok wait_until(30, sub { !grep { alive($_) } @old }), 'the old workers leave';
    my ($count, @failed) = $load->stop;
    is_deeply \@failed, [], "no request of $count failed";
    cmp_ok $count, '>', 10, 'there was load';
    is count_of($server, 'worker'), 3, 'the new configuration is in force';
    cmp_ok $uptime->(), '>=', $up + int(time - $since) - 1, 'the uptime is the master\'s';
    ok $server->running, 'the master is the same';

    @old  = $server->pids_of('worker');
    $mark = $server->log_mark;
    $server->write_config_text("server:\n  workers: 2\n  worker: 3\n")->signal('HUP');
    like $server->log_like(qr/configuration refused/, since => $mark), qr/config\.yml:3: .*server\.worker\b/,
        'a bad configuration: refused with file, line and key';
    is_deeply [ $server->pids_of('worker') ], \@old, 'the workers stay';
    is $server->request(GET => '/livez')->status, 200, 'and serve';

    $mark = $server->log_mark;
    my $port = $server->port;
    $server->write_config('server.listen' => '127.0.0.1:1', 'database.url' => undef);
    $server->{args} = [];
    $server->signal('HUP');
    $server->log_like(qr/database\.url changed: that needs a restart/, since => $mark);
    $server->log_like(qr/generation 3 is ready/, since => $mark);
    is $server->request(GET => '/readyz')->status, 200, 'what needs a restart keeps its value';

    # Several in a row: only the last generation stays.
    $mark = $server->log_mark;
    $server->write_config('server.workers' => 1);
    $server->signal('HUP') for 1 .. 5;
    ok wait_until(30, sub { count_of($server, 'worker') == 1 && count_of($server, 'janitor') == 1 }), 'a storm of HUP settles';
    is $server->request(GET => '/readyz')->status, 200, 'and it serves';
};

subtest 'USR1 reopens the log in every process' => sub {
    my $dir = tempdir(CLEANUP => 1);
    chmod 0777, $dir;
    my $server = new_server(config => { 'log.file' => "$dir/server.log", 'server.listen' => '127.0.0.1:0' }, start => 0);
    $server->{log} = "$dir/server.log";
    # What the program prints goes there, too: the file is there before the server opens it.
    open my $fh, '>', $server->{log} or die;
    chown +(getpwnam Verstak::Postgres::run_as())[ 2, 3 ], $server->{log} if $root;
    $server->start;
    rename "$dir/server.log", "$dir/server.log.1" or die;
    $server->signal('USR1');
    ok wait_until(10, sub { (slurp("$dir/server.log") // '') =~ /log reopened/ }), 'the master writes to the new file';
    for my $worker ($server->pids_of('worker')) {
        ok wait_until(10, sub {
            $server->request(GET => '/nothing-here');
            slurp("$dir/server.log") =~ /worker \d+\[$worker\]: .*nothing-here/;
        }), "worker $worker, too";
    }
    unlike slurp("$dir/server.log.1"), qr/nothing-here/, 'nothing goes to the old one';
};

subtest 'a crash is logged in words and mended' => sub {
    my $server   = new_server(crash_expected => 1);
    my ($worker) = $server->pids_of('worker');
    my $mark     = $server->log_mark;
    my $before   = time;
    kill KILL => $worker;
    my $line = $server->log_like(qr/worker 1 \(process $worker\)/, since => $mark);
    like $line, qr/was killed by signal 9 \(Killed\); starting it again in 2 s/, 'in words';
    is $server->request(GET => '/livez')->status, 200, 'the other one serves meanwhile' for 1 .. 5;
    ok wait_until(15, sub { count_of($server, 'worker') == 2 }), 'it is started again';
    cmp_ok time - $before, '>=', 1.9, 'after the pause';

    # The janitor cannot work without its directory: it fails again and again until somebody mends it.
    my ($janitor) = $server->pids_of('janitor');
    my $blobs = $server->data . '/blobs';
    rename $blobs, "$blobs.away" or die;
    open my $fh, '>', $blobs or die;
    close $fh;
    $mark = $server->log_mark;
    kill KILL => $janitor;
    $server->log_like(qr/janitor .* exited with status 1; starting it again in $_ s/, since => $mark, timeout => 30)
        for 4, 8;
    pass 'the pauses double';
    unlink $blobs;
    rename "$blobs.away", $blobs or die;
    $server->log_like(qr/janitor \(process \d+\) is ready/, since => $mark, timeout => 30);
    $mark = $server->log_mark;
    kill KILL => $server->pids_of('janitor');
    like $server->log_like(qr/janitor .* starting it again/, since => $mark), qr/in 2 s/, 'one success resets them';
};

subtest 'a worker that does not get ready is killed' => sub {
    plan skip_all => 'takes a minute; VERSTAK_TEST_LONG=1 runs it' if !$ENV{VERSTAK_TEST_LONG};
    my $server = new_server(crash_expected => 1);
    my ($worker) = $server->pids_of('worker');
    my $mark = $server->log_mark;
    $pg->freeze;    # a worker gives the database 3 s before it says ready: time to stop it
    kill KILL => $worker;
    my $new = wait_for('the new worker', 15, sub { (grep { $_ != $worker && title($_) =~ /worker 1\b/ } $server->pids_of('worker'))[0] });
    kill STOP => $new;
    $pg->thaw;
    $server->log_like(qr/worker 1 .* is not ready after 60 s: killing it/, since => $mark, timeout => 90);
    ok wait_until(20, sub { count_of($server, 'worker') == 2 && !alive($new) }), 'and another one is started';
};

subtest 'kill -9 of the master' => sub {
    my $port   = Verstak::Postgres::free_port();
    my $server = new_server(listen => "127.0.0.1:$port");
    my @pids   = children_of($server->pid);
    $server->kill9;
    $server->start;    # at once: the port may still be held by the old workers
    is $server->request(GET => '/readyz')->status, 200, 'a new master takes the port';
    ok wait_until(10, sub { !grep { alive($_) } @pids }), 'the children noticed and left';
};

subtest 'one server for a data directory' => sub {
    my $server = new_server();
    my ($status, $output) = run_program('--data', $server->data, '--port', 0, $root ? ('--user', 'postgres') : ());
    isnt $status, 0, 'a second server is refused';
    like $output, qr/data directory '\Q${\ $server->data}\E' is in use by process ${\ $server->pid}\b/, 'it says by whom';
    is $server->request(GET => '/readyz')->status, 200, 'the first one goes on';
    $server->kill9(whole => 1);
    $server->start;
    pass 'the lock of a dead server is no lock';
};

subtest 'starts that fail' => sub {
    my $server = new_server(start => 0);
    my $taken  = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 1, ReuseAddr => 1) or die;
    $server->{listen} = '127.0.0.1:' . $taken->sockport;
    refused_start($server, 1, qr/cannot listen on 127\.0\.0\.1:\d+: Address already in use; .*--port/, 'port taken');
    $server->{listen} = '127.0.0.1:0';

    $server->write_config('http.idle_timeout' => 'soon');
    refused_start($server, 2, qr/config\.yml:\d+: .*http\.idle_timeout/, 'bad configuration');
    $server->write_config('http.idle_timeout' => undef);

    my ($status, $output) = run_program('--prot', 1);
    is $status, 2, 'unknown flag: exit status';
    like $output, qr/--prot\b/, 'unknown flag: message';

    my $other = tempdir(CLEANUP => 1);
    open my $fh, '>', "$other/letter.txt" or die;
    close $fh;
    my $mode = (stat $other)[2];
    ($status, $output) = run_program('--data', $other, '--port', 0, $root ? ('--user', 'postgres') : ());
    is $status, 1, 'a directory of something else: exit status';
    like $output, qr/'\Q$other\E' holds other files/, 'a directory of something else: message';
    is +(stat $other)[2], $mode, 'and it is left as it was';

    my $dbh = do { $server->start; $server->stop; $pg->dbh(dbname => $server->{config}{'database.url'} =~ m{/(\w+)\?} ? $1 : die) };
    $dbh->do(q{INSERT INTO schema_migrations SELECT 9999, 'of_tomorrow', hash FROM schema_migrations LIMIT 1})
        if eval { $dbh->do('SELECT hash FROM schema_migrations') };
    SKIP: {
        skip 'the table of migrations looks different', 2
            if !$dbh->selectrow_array(q{SELECT count(*) FROM schema_migrations WHERE version = 9999});
        refused_start($server, 3, qr/newer/, 'a newer schema');
    }
};

subtest 'the database comes later than the server' => sub {
    my $late   = Verstak::Postgres->new;
    my $server = Verstak::Server->new(postgres => $late, start => 0);
    $late->stop;
    $server->start(ready => 0);
    $server->log_like(qr/waiting for the database/);
    ok !$server->ready, 'it is not ready';
    $late->start;
    $server->wait_ready;
    my @said = $server->log_text =~ /(waiting for the database)/g;
    is scalar @said, 1, 'it said once that it waits';
};

subtest 'a pid file that config.yml names' => sub {
    plan skip_all => 'only root has rights to give up' if $> != 0;
    my $dir    = File::Temp->newdir('vss-pid-XXXXXX', TMPDIR => 1);
    my $server = Verstak::Server->new(config => { 'server.pid_file' => "$dir/pid" }, start => 0);
    $server->spawn($server->arguments);
    wait_for('the server to refuse', 30, sub { !$server->running });
    isnt $server->{status}, 0, 'root does not write it';
    like $server->log_text, qr/cannot write the pid file '.*': Permission denied \(as the user /, 'the log says whose rights count';
    ok !-e "$dir/pid", 'nothing was written';
};

subtest 'daemon and pid file' => sub {
    my $server = new_server(start => 0);
    my $dir    = tempdir(CLEANUP => 1);
    chmod 0777, $dir;
    my @arguments = ($server->arguments, '--daemon', '--pid-file', "$dir/pid", "--log.file=$dir/log");
    my ($status, $output) = run_program(@arguments);
    is $status, 0, 'the command returns with 0';
    like slurp("$dir/log") // '', qr/master\[\d+\]: ready$/m, 'when the server is ready';
    my ($pid) = (slurp("$dir/pid") // '') =~ /\A(\d+)\n\z/;
    ok $pid && alive($pid), 'the pid file names it';
    is title($pid), 'verstak-sync-server: master', 'the master';
    is +(split ' ', slurp("/proc/$pid/stat") =~ s/.*\) //sr)[3], $pid, 'in a session of its own';
    is readlink("/proc/$pid/fd/0"), '/dev/null', 'it let go of the terminal';
    my ($again, $why) = run_program(@arguments);
    is $again, 1, 'a second one fails with its exit status';
    like $why, qr/is in use by process $pid\b/, 'and the message reaches the terminal';
    kill TERM => $pid;
    ok wait_until(20, sub { !alive($pid) }), 'TERM ends it';
    ok !-e "$dir/pid", 'the pid file is gone';
    kill KILL => $pid, descendants($pid) if alive($pid);
};

subtest 'sd_notify' => sub {
    plan skip_all => 'built without libsystemd' if slurp(Verstak::Server::binary()) !~ /libsystemd\.so/;
    my $dir    = tempdir(CLEANUP => 1);
    chmod 0711, $dir;
    my $socket = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => "$dir/notify") or die "cannot bind $dir/notify: $!";
    chmod 0777, "$dir/notify";
    $socket->blocking(0);
    my $text = '';
    my $got  = sub ($pattern) {
        return wait_until(20, sub {
            while (defined $socket->recv(my $message, 4096)) { $text .= "$message\n--\n" if length $message; last if !length $message }
            return $text =~ $pattern;
        });
    };
    my $server = new_server(env => { NOTIFY_SOCKET => "$dir/notify" });
    ok $got->(qr/^READY=1\nMAINPID=${\ $server->pid}$/m), 'READY with the main process';
    $text = '';
    $server->signal('HUP');
    ok $got->(qr/^RELOADING=1\nMONOTONIC_USEC=\d+.*^READY=1/ms), 'RELOADING, then READY';
    $server->signal('TERM');
    ok $got->(qr/^STOPPING=1$/m), 'STOPPING';
    wait_for('the server to stop', 20, sub { !$server->running });
};

subtest 'privileges' => sub {
    plan skip_all => 'only root can drop privileges' if !$root;
    my $server = new_server();
    my $name   = Verstak::Postgres::run_as();
    my ($uid, $gid) = (getpwnam $name)[ 2, 3 ];
    for my $pid ($server->pid, children_of($server->pid)) {
        my $status = slurp("/proc/$pid/status");
        like $status, qr/^Uid:\s+$uid\s+$uid\s+$uid\s+$uid$/m, title($pid) . ": user $name";
        like $status, qr/^Gid:\s+$gid\s+$gid\s+$gid\s+$gid$/m, title($pid) . ': its group';
        unlike $status, qr/^Groups:(?:.*\s)?0\s*$/m, title($pid) . ': no group of root';
    }
    is $server->stop, 0, 'it stops as that user';

    # Its log file is in a directory of that user, who may put a link there.
    my $logs = tempdir(CLEANUP => 1);
    my ($precious, $fh) = ("$logs/precious");
    open $fh, '>', $precious or die;
    close $fh;
    chmod 0600, $precious;
    chmod 0711, $logs;
    mkdir "$logs/of-user";
    chown $uid, $gid, "$logs/of-user";
    symlink $precious, "$logs/of-user/server.log" or die;
    my ($linked, $said) = run_program($server->arguments, '--log.file', "$logs/of-user/server.log");
    is $linked, 2, 'a log that is a link to a file of root: exit status';
    like $said, qr/cannot open log file .*: Permission denied \(as the user '\Q$name\E'\)/, 'and message';
    is +(stat $precious)[4], 0, 'the file stays root\'s';
    is -s $precious, 0, 'and as it was';
    $server->stop;
    unlink $server->data . '/lock';
    link $precious, $server->data . '/lock' or diag "cannot link: $!";
    SKIP: {
        skip 'no hard link between these file systems', 2 if !-e $server->data . '/lock';
        my ($locked) = run_program($server->arguments);
        is $locked, 1, 'a lock that is another name of a file of root';
        is +(stat $precious)[4], 0, 'the file stays root\'s';
    }
    my $dir = tempdir(CLEANUP => 1);
    chmod 0711, $dir;
    my ($status, $output) = run_program('--data', "$dir/new", '--user', 'no-such-user-here', '--port', 0);
    is $status, 2, 'an unknown user: exit status';
    like $output, qr/no system user 'no-such-user-here'.*--user/, 'an unknown user: message';
    ($status, $output) = run_program('--data', "$dir/new", '--user', 'root', '--port', 0);
    is $status, 2, 'root: exit status';
    like $output, qr/must not run as root/, 'root: message';

    chmod 0700, $dir;
    ($status, $output) = run_program('--data', "$dir/new", '--user', $name, '--port', 0);
    is $status, 3, 'a directory that the user cannot reach: exit status';
    like $output, qr/cannot reach the data directory .*'\Q$dir\E' is closed to it/, 'a directory that the user cannot reach: message';
};

subtest 'process 1 of a container' => sub {
    plan skip_all => 'only root can make a pid namespace' if !$root || system('unshare -pf --mount-proc true 2>/dev/null') != 0;
    my $server = new_server(start => 0);
    my $pid    = fork // die;
    if (!$pid) {
        open STDOUT, '>>', $server->log_file;
        open STDERR, '>&', \*STDOUT;
        exec 'unshare', '-pf', '--mount-proc', '--kill-child', Verstak::Server::binary(), $server->arguments;
    }
    my $master = wait_for('the master', 30, sub { (children_of($pid))[0] });
    wait_for('the server', 60, sub { $server->log_text =~ /master\[1\]: ready$/m });
    system('nsenter', '-t', $master, '-p', 'sh', '-c', '(sleep 0.2 &) ; exit 0') == 0 or die;
    ok wait_until(5, sub { grep { title($_) =~ /sleep/ } descendants($master) }), 'an orphan is its child';
    my $sleeps = sub { grep { title($_) =~ /sleep/ } descendants($master) };
    wait_for('the orphan to end', 10, sub { !$sleeps->() });
    my $zombies = sub { grep { (slurp($_) // '') =~ /\A\d+ \(.*\) Z $master /s } glob '/proc/[0-9]*/stat' };
    ok wait_until(5, sub { !$zombies->() }), 'and is reaped';
    kill TERM => $master;
    ok wait_until(20, sub { waitpid($pid, 1) == $pid }), 'TERM ends process 1';
    kill KILL => $pid if alive($pid);
};

done_testing;
