# What an operator runs: quickstart.sh, install.sh, the init script (for real), the systemd unit and the manual page.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use POSIX qw(WNOHANG);
use Verstak::HTTP;
use Verstak::Postgres;
use Verstak::Processes qw(alive descendants in_session kill_all slurp title);
use Verstak::Server;
use Verstak::Wait qw(wait_for);

my $top    = "$FindBin::Bin/..";
my $binary = Verstak::Server::reachable_binary();
my $user   = Verstak::Postgres::run_as();    # as root: whom to drop to

# A temporary directory, and the processes that were started in it, which end with it.
package Workshop {
    use parent -norequire, 'Verstak::Guard';

    sub new ($class) {
        my $self = $class->adopt({ sessions => [] }, 'vsh');
        chmod 0711, $self->{base};
        return $self;
    }

    sub rank ($self) { return 2 }

    # Starts a command in a session of its own, its output in $self->{log}.
    sub spawn ($self, $env, @command) {
        $self->{log} = "$self->{base}/log." . @{ $self->{sessions} };
        defined(my $pid = fork) or die "cannot fork: $!\n";
        if (!$pid) {
            POSIX::setsid();
            %ENV = (%ENV, %$env);
            open STDIN,  '<', '/dev/null'  or POSIX::_exit(127);
            open STDOUT, '>', $self->{log} or POSIX::_exit(127);
            open STDERR, '>&', \*STDOUT or POSIX::_exit(127);
            { no warnings 'exec'; exec { $command[0] } @command; }
            POSIX::_exit(127);
        }
        push @{ $self->{sessions} }, $pid;
        return $pid;
    }

    # Runs a command to its end: (status, output).
    sub run ($self, $env, @command) {
        my $pid = $self->spawn($env, @command);
        main::wait_for("@command", 120, sub { waitpid($pid, POSIX::WNOHANG()) == $pid });
        return ($? & 127 ? 128 + ($? & 127) : $? >> 8, main::slurp($self->{log}));
    }

    sub shutdown ($self) {    ## no critic
        my @pids = map { (main::in_session($_), main::descendants($_)) } @{ $self->{sessions} };
        if (($self->{pid_file} // '') ne '' && (main::slurp($self->{pid_file}) // '') =~ /\A(\d+)$/m) {
            push @pids, $1, main::descendants($1) if main::title($1) =~ /verstak/;
        }
        main::kill_all(@pids);
        return;
    }
}

sub has_program ($name) {
    return grep { -x "$_/$name" } split /:/, "$ENV{PATH}:/usr/sbin:/sbin";
}

sub get ($port, $path) {
    return Verstak::HTTP->new('127.0.0.1', $port)->request(GET => $path);
}

sub port_in ($log) {
    return wait_for('the server to listen', 60, sub { (slurp($log) // '') =~ /listening on \S*:(\d+)/ ? $1 : undef });
}

sub wait_ready ($port) {
    return wait_for('the server to be ready', 60, sub { get($port, '/readyz')->status == 200 });
}

# What quickstart.sh needs of the tree, with a server that is built already.
sub checkout ($shop) {
    system('mkdir', '-p', "$shop->{base}/tree") == 0 && system('cp', '-R', "$top/contrib", "$shop->{base}/tree/") == 0
        or die "cannot copy contrib\n";
    return "$shop->{base}/tree";
}

my @small = ('--listen=127.0.0.1:0', '--workers=1', '--password.cost=4');
my %env   = (VERSTAK_BIN => $binary, $user ? (VERSTAK_SERVER_USER => $user) : ());

sub admin_login ($port, $name, $password) {
    return Verstak::HTTP->new('127.0.0.1', $port)
        ->request(POST => '/admin/login', form => { username => $name, password => $password })->status;
}

sub interrupt ($pid) {
    kill INT => $pid;
    wait_for('the server to stop', 40, sub { waitpid($pid, WNOHANG) == $pid });
    return $? >> 8;
}

subtest 'quick start' => sub {
    my $shop = Workshop->new;
    my $tree = checkout($shop);
    my $pid  = $shop->spawn(\%env, "$tree/contrib/quickstart.sh", @small);
    my $port = port_in($shop->{log});
    wait_ready($port);
    my $output = slurp($shop->{log});
    like $output, qr/^admin user: +admin$/m, 'it names the admin';
    my ($password) = $output =~ /^admin password: +(\S+) /m;
    like $password, qr/\A[A-Za-z2-9]{20}\z/, 'and a random password';
    is admin_login($port, 'admin', $password), 200, 'with which the admin gets in';
    my @pids = ($pid, descendants($pid));
    is((grep { index(title($_), $password) >= 0 || index(slurp("/proc/$_/environ") // '', $password) >= 0 } @pids), 0,
        'no process shows the password');
    ok -d "$tree/server-data/postgres", 'the data is in ./server-data';
    is interrupt($pid), 0, 'Ctrl-C reaches the server itself';

    $pid  = $shop->spawn(\%env, "$tree/contrib/quickstart.sh", @small);
    $port = port_in($shop->{log});
    wait_ready($port);
    unlike slurp($shop->{log}), qr/password:/, 'a second start keeps the admin';
    is admin_login($port, 'admin', $password), 200, 'whose password is the old one';
    interrupt($pid);
};

subtest 'quick start with an admin, in a closed directory' => sub {
    my $shop = Workshop->new;
    my $tree = checkout($shop);
    chmod 0700, $tree;
    my $pid = $shop->spawn(
        { %env, VERSTAK_STATE_DIR => "$shop->{base}/state" },
        "$tree/contrib/quickstart.sh", '--admin-user', 'eve', '--admin-pass=swordfish and more', @small
    );
    wait_for('the password to go from the command line', 20, sub { index(title($pid), 'swordfish') < 0 });
    my $port = port_in($shop->{log});
    wait_ready($port);
    is admin_login($port, 'eve', 'swordfish and more'), 200, 'the admin that was asked for gets in';
    unlike slurp($shop->{log}), qr/swordfish|password:/, 'nothing prints the password';
    if ($user) {
        is readlink "$tree/server-data", "$shop->{base}/state", 'data that root could not share lies elsewhere';
        like slurp($shop->{log}), qr/cannot reach '\Q$tree\E': the data is in/, 'and it says so';
    } else {
        ok -d "$tree/server-data/postgres", 'a plain user has it in the checkout';
    }
    is interrupt($pid), 0, 'it stops';
};

subtest 'quick start refuses' => sub {
    my $shop = Workshop->new;
    my $tree = checkout($shop);
    my ($status, $output) = $shop->run(\%env, "$tree/contrib/quickstart.sh", '--admin-pass');
    is $status, 1, 'an option without its value';
    like $output, qr/--admin-pass needs a value/, 'in words';
    ($status, $output) = $shop->run(\%env, "$tree/contrib/quickstart.sh", '--admin-pass-file', "$tree/none");
    isnt $status, 0, 'a password file that is not there';
    ok !-e "$tree/server-data", 'and nothing was made';
};

subtest 'install into a directory' => sub {
    my $shop = Workshop->new;
    my $root = "$shop->{base}/root";
    my ($status, $output) = $shop->run({ VERSTAK_BIN => $binary, DESTDIR => $root }, "$top/contrib/install.sh");
    is $status, 0, 'installs' or diag $output;
    my %mode = (
        '/opt/verstak-sync-server/verstak-sync-server'          => 0755, '/etc/verstak-server/env' => 0640,
        '/etc/systemd/system/verstak-server.service'            => 0644, '/etc/init.d/verstak-server' => 0755,
        '/etc/logrotate.d/verstak-server'                       => 0644,
        '/usr/local/share/man/man8/verstak-sync-server.8'       => 0644,
    );
    is sprintf('%04o', ((stat "$root$_")[2] // 0) & 07777), sprintf('%04o', $mode{$_}), $_ for sort keys %mode;
    my $version = qx('$root/opt/verstak-sync-server/verstak-sync-server' --version);
    is $?, 0, 'the installed program runs';

    open my $fh, '>>', "$root/etc/verstak-server/env" or die "cannot open: $!\n";
    say $fh 'VERSTAK_PORT=1234';
    close $fh;
    ($status) = $shop->run({ VERSTAK_BIN => $binary, DESTDIR => $root }, "$top/contrib/install.sh");
    is $status, 0, 'installs again';
    like slurp("$root/etc/verstak-server/env"), qr/^VERSTAK_PORT=1234$/m, 'and keeps what the operator changed';
};

# The paths of the installation, in the directory of this test.
sub init_defaults ($shop, %more) {
    my %value = (
        DAEMON      => $binary,                    DATA    => "$shop->{base}/data", LOGDIR => "$shop->{base}/log",
        ENVIRONMENT => "$shop->{base}/env",        PIDFILE => "$shop->{base}/server.pid",
        OPTIONS     => '--workers=1 --password.cost=4', RUNAS => $user // scalar getpwuid $>, %more,
    );
    open my $fh, '>', "$shop->{base}/defaults" or die "cannot write: $!\n";
    say $fh "$_='$value{$_}'" for sort keys %value;
    close $fh;
    open $fh, '>', "$shop->{base}/env" or die "cannot write: $!\n";
    say $fh 'VERSTAK_LISTEN="127.0.0.1:0"';
    close $fh;
    return $shop->{pid_file} = $value{PIDFILE};
}

subtest 'init script' => sub {
    my $shop     = Workshop->new;
    my $pid_file = init_defaults($shop);
    my $init     = sub ($action) {
        my ($status) = $shop->run({ VERSTAK_DEFAULTS => "$shop->{base}/defaults" },
            "$top/etc/verstak-sync-server.init", $action);
        return $status;
    };
    my $log = "$shop->{base}/log/server.log";

    is $init->('status'), 3, 'status: not running';
    is $init->('stop'),   0, 'stop of a stopped server';
    is $init->('start'),  0, 'start' or return diag slurp($shop->{log}), slurp($log) // '';
    my ($pid) = (slurp($pid_file) // '') =~ /\A(\d+)$/m;
    my $port = port_in($log);
    is get($port, '/readyz')->status, 200, 'start returns when the server is ready';
    is $init->('status'), 0, 'status: runs';
    is $init->('start'),  0, 'a second start';
    is((slurp($pid_file) =~ /\A(\d+)$/m)[0], $pid, 'leaves it alone');

    my $config = "$shop->{base}/data/config.yml";
    open my $fh, '>', $config or die "cannot write: $!\n";
    say $fh "http:\n  idle_timeout: never";
    close $fh;
    chown +(getpwnam $user)[ 2, 3 ], $config if $user;
    is $init->('reload'), 6, 'reload of a bad configuration is refused';
    like slurp($shop->{log}), qr/\Q$config\E:2: .*idle_timeout/, 'with file, line and key';
    unlink $config;
    my @before = grep { title($_) =~ /worker/ } descendants($pid);
    is $init->('reload'), 0, 'reload';
    wait_for('new workers', 30, sub { !grep { alive($_) } @before });
    is get($port, '/readyz')->status, 200, 'it serves after that';

    rename $log, "$log.1" or die "cannot rename: $!\n";
    is $init->('rotate'), 0, 'rotate';
    wait_for('a new log file', 20, sub { -e $log });
    my $mark = -s $log;
    is $init->('upgrade'), 0, 'upgrade';
    wait_for('the new program', 60, sub { substr(slurp($log), $mark) =~ /takes over\n.*master\[\d+\]: ready\n/s });
    is((slurp($pid_file) =~ /\A(\d+)$/m)[0], $pid, 'in the same process');
    is get($port, '/readyz')->status, 200, 'on the same port';

    is $init->('stop'), 0, 'stop';
    ok !alive($pid), 'the master is gone';
    ok !-e $pid_file, 'and its pid file';
    is $init->('status'), 3, 'status: not running';
    is $init->('frobnicate'), 2, 'an unknown action';
};

subtest 'init script of a server that cannot start' => sub {
    my $shop = Workshop->new;
    init_defaults($shop, OPTIONS => '--workers=1 --config=/nonexistent/config.yml');
    my ($status, $output) = $shop->run({ VERSTAK_DEFAULTS => "$shop->{base}/defaults" },
        "$top/etc/verstak-sync-server.init", 'start');
    is $status, 1, 'start fails';
    like $output, qr{/nonexistent/config\.yml}, 'and says why';
};

SKIP: {
    skip 'no systemd-analyze', 1 if !has_program('systemd-analyze');
    subtest 'systemd unit' => sub {
        my $shop = Workshop->new;
        my $unit = slurp("$top/etc/verstak-server.service");
        $unit =~ s{/opt/verstak-sync-server/verstak-sync-server}{$binary}g == 2 or die "the unit does not start the program\n";
        open my $fh, '>', "$shop->{base}/verstak-server.service" or die "cannot write: $!\n";
        print $fh $unit;
        close $fh;
        my $path = "$shop->{base}/verstak-server.service";
        my ($status, $output) = $shop->run({}, 'systemd-analyze', 'verify', '--man=no', $path);
        is $status, 0, 'verified' or diag $output;
        unlike $output, qr/verstak/, 'without a remark';
        ($status, $output) = $shop->run({ SYSTEMD_PAGER => 'cat' },
            'systemd-analyze', 'security', '--offline=true', '--threshold=20', $path);
        is $status, 0, 'its exposure is below 2.0' or diag $output;
    };
}

SKIP: {
    skip 'no shellcheck', 1 if !has_program('shellcheck');
    my $shop = Workshop->new;
    my @script = (glob("$top/contrib/*.sh"), "$top/etc/verstak-sync-server.init");
    my ($status, $output) = $shop->run({}, 'shellcheck', '--external-sources', '--source-path', $top, @script);
    is $status, 0, 'shellcheck finds nothing in the scripts' or diag $output;
}

subtest 'the last line of the test suite' => sub {
    my $shop = Workshop->new;
    my $tree = checkout($shop);
    mkdir "$tree/t";
    my $write = sub ($name, $text) {
        open my $fh, '>', "$tree/$name" or die "cannot write '$name': $!\n";
        print {$fh} $text;
        close $fh;
    };
    my $last = sub (@files) {
        my ($status, $output) = $shop->run({ VERSTAK_TEST_ONLY => "@files" }, "$tree/contrib/test.sh");
        return [ $status, $output =~ /^(.*)\n\z/m ];
    };
    my $build = "#!/bin/sh\nmkdir -p \"\$BUILD_DIR\"\necho unit-tests: >\"\$BUILD_DIR/Makefile\"\n";
    $write->('contrib/packages.sh', "packages_install() { :; }\n");
    $write->('contrib/build.sh',    $build);
    $write->('t/good.t',            'print "1..3\nok 1\nok 2\nok 3\n"');
    $write->('t/bad.t', 'print "1..100\n"; print $_ % 2 ? "" : "not ", "ok $_\n" for 1 .. 100');
    $write->('t/dies.t',  'print "ok 1\n"; die "for the test of the count\n"');
    $write->('t/short.t', 'print "1..2\nok 1\n"');
    is_deeply $last->('t/good.t'), [ 0, '3 passed, 0 failed' ], 'all pass';
    is_deeply $last->('t/good.t', 't/bad.t'), [ 1, '53 passed, 50 failed' ], 'some fail';
    is_deeply $last->('t/good.t', 't/dies.t'), [ 1, '4 passed, 1 failed' ], 'a file dies';
    is_deeply $last->('t/bad.t', 't/dies.t', 't/short.t'), [ 1, '52 passed, 52 failed' ], 'all of it';
    is_deeply $last->('t/missing.t'), [ 1, '0 passed, 1 failed' ], 'a file is missing';
    $write->('contrib/build.sh', "#!/bin/sh\nexit 7\n");
    is_deeply $last->('t/good.t'), [ 7, '0 passed, 1 failed' ], 'the build fails';
};

subtest 'manual page' => sub {
    my $page = slurp("$top/doc/verstak-sync-server.8");
    (my $plain = $page) =~ s/^\.\w+ |\bFl Fl (?:Ns )?/ /gm;
    my $help = qx('$binary' --help);
    is $?, 0, '--help works';
    my ($flags)     = $help =~ /^Flags.*?\n(.*?)\n\n/ms;
    my ($variables) = $help =~ /^Environment.*?\n(.*?)\n\n/ms;
    my @flag        = ($flags     // '') =~ /^  --([a-z-]+)/mg;
    my @variable    = ($variables // '') =~ /^  ([A-Z_]+)/mg;
    cmp_ok scalar @flag, '>', 10, 'it tells of flags';
    cmp_ok scalar @variable, '>', 4, 'and of variables';
    is_deeply [ grep { $page !~ /Fl Fl \Q$_\E\b/ } @flag ], [], 'the page has every flag';
    is_deeply [ grep { $page !~ /Ev \Q$_\E$/m } @variable ], [], 'and every variable';
    my %known = map { $_ => 1 } @flag;
    my ($described) = $page =~ /^\.Ss Flags(.*?)^\.Ss/ms;
    is_deeply [ grep { !$known{$_} } $described =~ /^\.It Fl Fl ([a-z][a-z-]+)/mg ], [], 'and no other flag';
    if (has_program('mandoc')) {
        my $shop = Workshop->new;
        my ($status, $output) = $shop->run({}, 'mandoc', '-T', 'lint', '-W', 'warning', "$top/doc/verstak-sync-server.8");
        is $status, 0, 'mandoc finds nothing' or diag $output;
    }
};

done_testing;
