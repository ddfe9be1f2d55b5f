# A private PostgreSQL cluster for one test: in a temporary directory, on a Unix socket, with tcp => 1 also on
# 127.0.0.1 with a free port. It goes with the object, and with the test process however that ends.
#
#   my $pg = Verstak::Postgres->new(tcp => 1, settings => { max_connections => 50 });
#   $pg->url                           for database.url: role verstak (no superuser), its database verstak
#   $pg->dbh / $pg->dbh(user => 'postgres', dbname => 'postgres')
#   $pg->psql('select 1')              as superuser, text of the answer
#   $pg->stop('immediate'); $pg->start; $pg->restart; $pg->kill9; $pg->freeze; $pg->thaw
package Verstak::Postgres;
use v5.36;
use parent 'Verstak::Guard';
use DBI;
use IO::Socket::INET;
use POSIX              ();
use Verstak::Processes qw(alive children_of kill_all slurp);
use Verstak::Wait      qw(wait_for wait_until);

# The unprivileged user that PostgreSQL runs as when the test runs as root; undef when it does not.
sub run_as () {
    return if $> != 0;
    my $name = $ENV{VERSTAK_TEST_USER} // 'postgres';
    getpwnam $name or die "no system user '$name' to run PostgreSQL as; set VERSTAK_TEST_USER\n";
    return $name;
}

sub bin_dir () {
    state $dir = do {
        my @places  = sort { ($b =~ /(\d+)/a)[0] <=> ($a =~ /(\d+)/a)[0] } glob '/usr/lib/postgresql/[0-9]*/bin';
        my ($found) = grep { -x "$_/postgres" } $ENV{VERSTAK_TEST_PG_BIN} // (), @places, split /:/, $ENV{PATH};
        $found // die "cannot find the PostgreSQL programs; set VERSTAK_TEST_PG_BIN\n";
    };
    return $dir;
}

# The command that runs @command as the unprivileged user; it dies with the process that started it.
sub as_user (@command) {
    my $user = run_as();
    my @drop = $user ? ("--reuid=$user", '--regid=' . (getpwnam $user)[3], '--init-groups') : ();
    return ('setpriv', '--pdeathsig=INT', @drop, '--', @command);
}

sub free_port () {
    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 1)
        or die "cannot bind a port: $!\n";
    return $socket->sockport;
}

sub rank ($self) { return 1 }

# Options: tcp, settings (hash of postgresql.conf), fsync (off unless asked for), start => 0.
sub new ($class, %option) {
    my $self = $class->adopt({ %option{ 'tcp', 'settings', 'fsync' } }, 'vpg');
    chmod 0711, $self->{base};
    $self->{data} = "$self->{base}/data";
    $self->{run}  = "$self->{base}/run";
    for my $dir ($self->{data}, $self->{run}) {
        mkdir $dir, 0700 or die "cannot make $dir: $!\n";
        chown +(getpwnam run_as())[ 2, 3 ], $dir if run_as();
    }
    chmod 0711, $self->{run};
    $self->{log}  = "$self->{base}/postgres.log";
    $self->{port} = $self->{tcp} ? free_port() : 5432;
    $self->initdb;
    if ($option{start} // 1) {
        $self->start;
        $self->psql('CREATE ROLE verstak LOGIN');
        $self->psql('CREATE DATABASE verstak OWNER verstak');
    }
    return $self;
}

sub spawn ($self, @command) {
    defined(my $pid = fork) or die "cannot fork: $!\n";
    return $pid if $pid;
    open STDIN,  '<',  '/dev/null'  or POSIX::_exit(127);
    open STDOUT, '>>', $self->{log} or POSIX::_exit(127);
    open STDERR, '>&', \*STDOUT     or POSIX::_exit(127);
    chdir '/';
    local $ENV{LC_ALL} = 'C';
    { no warnings 'exec'; exec { $command[0] } @command; }
    POSIX::_exit(127);
}

sub initdb ($self) {
    my $pid = $self->spawn(as_user(
        bin_dir() . '/initdb',
        qw(--no-sync --no-instructions -A trust -U postgres -E UTF8 --locale=C.UTF-8 -D),
        $self->{data}
    ));
    waitpid $pid, 0;
    die "initdb failed:\n" . slurp($self->{log}) if $?;
    return;
}

sub arguments ($self) {
    my %setting = (
        unix_socket_directories => $self->{run},
        listen_addresses        => $self->{tcp} ? '127.0.0.1' : '',
        port                    => $self->{port},
        fsync                   => $self->{fsync} ? 'on' : 'off',
        shared_buffers          => '32MB',
        max_connections         => 100,
        log_line_prefix         => '%m [%p] ',
        %{ $self->{settings} // {} },
    );
    return map { ('-c', "$_=$setting{$_}") } sort keys %setting;
}

# Starts the cluster and waits until it answers. After a crash a left-over backend may hold the shared memory for a
# moment: then it is tried again.
sub start ($self) {
    die "PostgreSQL runs already\n" if $self->running;
    wait_for(
        "PostgreSQL in $self->{base} (see postgres.log)",
        60,
        sub {
            $self->{pid} = $self->spawn(as_user(bin_dir() . '/postgres', '-D', $self->{data}, $self->arguments))
                if !$self->running;
            return wait_until(5, sub { $self->answers || !$self->running }) && $self->answers;
        }
    );
    return $self;
}

sub answers ($self) {
    local $@;
    my $dbh = eval { $self->connect_as('postgres', 'postgres', PrintError => 0) };
    return $dbh && $dbh->disconnect;
}

sub running ($self) {
    my $pid = $self->{pid} // return 0;
    return 1 if waitpid($pid, 1) == 0;    # 1 is WNOHANG
    delete $self->{pid};
    return 0;
}

sub pid        ($self) { return $self->{pid} }
sub port       ($self) { return $self->{port} }
sub socket_dir ($self) { return $self->{run} }
sub data_dir   ($self) { return $self->{data} }
sub log_file   ($self) { return $self->{log} }

# Modes as of pg_ctl: smart, fast (default), immediate.
sub stop ($self, $mode = 'fast') {
    return $self if !$self->running;
    my %signal = (smart => 'TERM', fast => 'INT', immediate => 'QUIT');
    kill $signal{$mode} // die("no mode '$mode'\n"), $self->{pid};
    wait_until(30, sub { !$self->running }) or $self->kill9;
    return $self;
}

sub restart ($self, $mode = 'fast') {
    return $self->stop($mode)->start;
}

# The crash of the whole cluster: nothing is written any more, clients see their connections break.
sub kill9 ($self) {
    return $self if !$self->running;
    my $pid = $self->{pid};
    kill STOP => $pid;    # so that it starts no new child between the look and the kill
    kill_all($pid, children_of($pid));
    $self->running;
    return $self;
}

# The database hangs: connections stay open, nothing is answered.
sub freeze ($self) { kill STOP => $self->{pid}, children_of($self->{pid}); return $self }
sub thaw   ($self) { kill CONT => $self->{pid}, children_of($self->{pid}); return $self }

# A URI for database.url; over TCP when the cluster listens there, unless socket => 1.
sub url ($self, %option) {
    my $dbname = $option{dbname} // 'verstak';
    my $user   = $option{user}   // 'verstak';
    return "postgresql://$user\@127.0.0.1:$self->{port}/$dbname" if $self->{tcp} && !$option{socket};
    (my $host = $self->{run}) =~ s{([^A-Za-z0-9_.-])}{sprintf '%%%02X', ord $1}ge;
    return "postgresql://$user\@/$dbname?host=$host&port=$self->{port}";
}

sub connect_as ($self, $user, $dbname, %attribute) {
    return DBI->connect("dbi:Pg:dbname=$dbname;host=$self->{run};port=$self->{port}",
        $user, '', { RaiseError => 1, PrintError => 0, AutoCommit => 1, AutoInactiveDestroy => 1, %attribute });
}

# A DBI handle; by default the superuser's, in the server's database. Attributes of DBI as attr => {…}.
sub dbh ($self, %option) {
    return $self->connect_as($option{user} // 'postgres', $option{dbname} // 'verstak', %{ $option{attr} // {} });
}

# Runs SQL as superuser with psql and returns what it printed (unaligned, tuples only, without the last newline).
sub psql ($self, $sql, %option) {
    open my $out, '-|', 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-h', $self->{run}, '-p', $self->{port}, '-U',
        $option{user} // 'postgres', '-d', $option{dbname} // 'postgres', '-c', $sql
        or die "cannot run psql: $!\n";
    my $text = join q(), readline $out;
    close $out or die "psql failed on: $sql\n";
    chomp $text;
    return $text;
}

# Another, empty database for a second server on the same cluster.
sub create_database ($self, $name) {
    $self->psql("CREATE DATABASE $name OWNER verstak");
    return $self->url(dbname => $name);
}

sub shutdown ($self) {    ## no critic
    $self->thaw if $self->running;
    $self->stop('immediate');
    return;
}

1;
