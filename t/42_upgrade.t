# SIGUSR2: a new program takes over in the same process, under load, without a refused or reset request; one that cannot is refused and the old
# one goes on.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use Test::More;
use Verstak::Hammer;
use Verstak::Postgres;
use Verstak::Processes qw(alive children_of parent slurp title);
use Verstak::Server;
use Verstak::Wait qw(wait_for wait_until);

my $original = Verstak::Server::binary();
my $dir      = tempdir(CLEANUP => 1, DIR => $ENV{VERSTAK_TEST_TMPDIR} // '/tmp');
chmod 0755, $dir;
my $program = "$dir/verstak-sync-server";
$ENV{VERSTAK_BIN} = $program;

# Puts a program in place of the one that runs, as an installation does: a new file, renamed.
sub install ($file) {
    copy($file, "$program.new") or die "cannot copy $file: $!\n";
    chmod 0755, "$program.new";
    rename "$program.new", $program or die "cannot rename: $!\n";
    return;
}

# The same server, told apart by bytes at its end.
sub install_next ($number) {
    install($original);
    open my $fh, '>>', $program or die;
    print {$fh} "version $number";
    close $fh;
    return;
}

sub inode ($path) { return join ':', (stat $path)[ 0, 1 ] }

# Sends USR2 and waits until the new generation serves alone.
sub upgrade ($server, $generation) {
    my $mark = $server->log_mark;
    my @old  = $server->pids_of('worker');
    $server->signal('USR2');
    $server->log_like(qr/generation $generation is ready/, since => $mark, timeout => 40);
    ok wait_until(40, sub { !grep { alive($_) } @old }), "generation $generation: the former workers leave";
    return;
}

install_next(1);
my $server = Verstak::Server->new(
    database => 'private',
    args     => [ '--workers', 2, '--admin-user', 'ann', '--admin-pass', 'visible-password' ]
);
$server->log_like(qr/master\[\d+\]: ready/);
my ($postmaster) = $server->pids_of('postgres');
my $master       = $server->pid;
my $token        = $server->new_device;
$server->push($token, Verstak::Server::op(op_id => 'before'));

subtest 'three upgrades under load' => sub {
    my $hammer = Verstak::Hammer->new($server->port, processes => 4);
    for my $generation (2 .. 4) {
        install_next($generation);
        upgrade($server, $generation);
        is inode("/proc/$master/exe"), inode($program), "generation $generation: the master runs the new file";
        is inode("/proc/$_/exe"), inode($program), "generation $generation: " . title($_) . ', too'
            for $server->pids_of('worker'), $server->pids_of('janitor'), $server->pids_of('mailer');
    }
    my ($count, @failed) = $hammer->stop;
    is_deeply \@failed, [], "no request of $count failed";
    cmp_ok $count, '>', 20, 'there was load';
    ok $server->running, 'the process of the master is the same';
    is title($master), 'verstak-sync-server: master', 'its title is right';
    is_deeply [ $server->pids_of('postgres') ], [$postmaster], 'PostgreSQL went on';
    is parent($postmaster), $master, 'as its child';
    is scalar(my @workers = $server->pids_of('worker')), 2, 'flags of the first start are in force';
    is_deeply [ map { $_->{op_id} } $server->pull_all($token) ], ['before'], 'the data is there';
    unlike join("\n", map { slurp("/proc/$_/cmdline") } $master, children_of($master)), qr/visible-password/,
        'the secret is not in a command line';
};

subtest 'the new master does its work' => sub {
    my $mark = $server->log_mark;
    my ($worker) = $server->pids_of('worker');
    kill KILL => $worker;
    $server->log_like(qr/worker \d \(process $worker\) was killed .* starting it again/, since => $mark);
    ok wait_until(20, sub { (my @now = $server->pids_of('worker')) == 2 }), 'crashed workers are started again';
    my ($second, $text) = do {
        my $pid = open(my $out, '-|') // die;
        if (!$pid) { open STDERR, '>&', \*STDOUT; exec $program, $server->arguments }
        my $said = join '', readline $out;
        close $out;
        ($? >> 8, $said);
    };
    isnt $second, 0, 'a second server is refused';
    like $text, qr/in use by process $master\b/, 'the lock was handed over';
    $mark = $server->log_mark;
    my @old = $server->pids_of('worker');
    $server->write_config('server.workers' => 2)->signal('HUP');
    $server->log_like(qr/generation \d+ is ready/, since => $mark);
    ok wait_until(40, sub { !grep { alive($_) } @old }), 'HUP works';
};

subtest 'what cannot take over is refused' => sub {
    # postgres, two workers, mailer, janitor: those of the generation before have left.
    my @children = wait_for('one generation to be left', 40, sub { my @now = children_of($master); @now == 5 && \@now })->@*;
    my $is_refused = sub ($what, $pattern) {
        my $mark = $server->log_mark;
        $server->signal('USR2');
        like $server->log_like(qr/upgrade given up/, since => $mark, timeout => 40), $pattern, "$what: message";
        is_deeply [ children_of($master) ], \@children, "$what: every process stays";
        is $server->request(GET => '/readyz')->status, 200, "$what: it serves";
    };
    install('/bin/true');
    $is_refused->('another program', qr/is no server that could take over/);
    install('/etc/passwd');
    $is_refused->('no program', qr/cannot run '\Q$program\E': Exec format error/);
    install_next(9);
    chmod 0644, $program;
    $is_refused->('not executable', qr/cannot run '\Q$program\E': Permission denied/);
    unlink $program;
    $is_refused->('no file', qr/cannot run '\Q$program\E': No such file/);
    install_next(10);
    $server->write_config('http.idle_timeout' => 'never');
    $is_refused->('a configuration that it does not take', qr/config\.yml:\d+: .*http\.idle_timeout/);
    $server->write_config('http.idle_timeout' => undef);
    $server->write_config('log.file' => '/nonexistent/server.log');
    $is_refused->('a log that it cannot open', qr/cannot open log file '\/nonexistent\/server\.log'/);
    $server->write_config('log.file' => undef);
    my $uptime = sub { $server->request(GET => '/api/v1/health')->json->{uptime_seconds} };
    my ($since, $before) = (time, $uptime->());
    upgrade($server, 6);
    cmp_ok $uptime->(), '>=', $before + time - $since - 1, 'the uptime goes on';
};

subtest 'what needs a restart stays as it was' => sub {
    my $mark = $server->log_mark;
    my %new  = (
        'database.url'    => "host=127.0.0.1\nport=1 dbname=other",
        'server.pid_file' => "$dir/other.pid",
        'postgres.bin_dir' => '/nonexistent',
    );
    $server->write_config(%new);
    for my $generation (7, 8) {    # the second time from what the first one kept
        $mark = $server->log_mark;
        upgrade($server, $generation);
        my $said = substr $server->log_text, $mark;
        like $said, qr/\Q$_\E changed: that needs a restart/, "generation $generation: $_" for sort keys %new;
    }
    ok alive($postmaster), 'the private PostgreSQL goes on';
    is_deeply [ map { $_->{op_id} } $server->pull_all($token) ], ['before'], 'with its data';
    ok !-e "$dir/other.pid", 'no other pid file';
    $server->write_config(map { $_ => undef } keys %new);
    $mark = $server->log_mark;
    upgrade($server, 9);
    unlike substr($server->log_text, $mark), qr/needs a restart/, 'nothing is said when nothing is changed';
};

subtest 'PostgreSQL still notices the death of the master' => sub {
    my @all = $server->pids;
    $server->kill9;
    ok wait_until(30, sub { !alive($postmaster) }), 'it stops';
    ok wait_until(30, sub { !grep { alive($_) } @all }), 'and so do all others';
    $server->start;
    is_deeply [ map { $_->{op_id} } $server->pull_all($token) ], ['before'], 'the next start has the data';
    is $server->stop, 0, 'and stops';
};

done_testing;
