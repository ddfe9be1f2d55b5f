# PgBouncer in transaction mode in front of a Verstak::Postgres, for one test: on a Unix socket in a temporary directory.
#
#   my $bouncer = Verstak::PgBouncer->new($pg, pool_size => 4);
#   $bouncer->url                      for database.url, together with database.prepared_statements: false
package Verstak::PgBouncer;
use v5.36;
use parent 'Verstak::Guard';
use POSIX ();
use Verstak::Postgres;
use Verstak::Wait qw(wait_for wait_until);

sub program () {
    my ($found) = grep { -x } map {"$_/pgbouncer"} '/usr/sbin', split /:/, $ENV{PATH};
    return $found;
}

# Its servers go before the database does.
sub rank ($self) { return 2 }

sub new ($class, $pg, %option) {
    my $self = $class->adopt({ %option{'pool_size'}, pg => $pg }, 'vpb');
    chmod 0711, $self->{base};
    $self->{run} = "$self->{base}/run";
    mkdir $self->{run}, 0700 or die "cannot make $self->{run}: $!\n";
    my $user = Verstak::Postgres::run_as();
    chown +(getpwnam $user)[ 2, 3 ], $self->{run} if $user;
    $self->{log} = "$self->{base}/pgbouncer.log";
    $self->write_settings;
    return $self->start;
}

sub write_settings ($self) {
    my $size = $self->{pool_size} // 8;
    open my $ini, '>', "$self->{base}/pgbouncer.ini" or die "cannot write pgbouncer.ini: $!\n";
    print {$ini} <<~"END";
        [databases]
        * = host=$self->{pg}{run} port=$self->{pg}{port} user=verstak
        [pgbouncer]
        listen_addr =
        listen_port = 6432
        unix_socket_dir = $self->{run}
        auth_type = any
        pool_mode = transaction
        default_pool_size = $size
        max_client_conn = 200
        server_login_retry = 0.1
        END
    close $ini or die "cannot write pgbouncer.ini: $!\n";
    return;
}

sub start ($self) {
    defined(my $pid = fork) or die "cannot fork: $!\n";
    if (!$pid) {
        open STDIN,  '<',  '/dev/null' or POSIX::_exit(127);
        open STDOUT, '>>', $self->{log} or POSIX::_exit(127);
        open STDERR, '>&', \*STDOUT or POSIX::_exit(127);
        no warnings 'exec';
        exec Verstak::Postgres::as_user(program(), "$self->{base}/pgbouncer.ini");
        POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    wait_for("PgBouncer (see $self->{log})", 20, sub { -S "$self->{run}/.s.PGSQL.6432" });
    return $self;
}

sub pid ($self) { return $self->{pid} }

sub url ($self, %option) {
    my $dbname = $option{dbname} // 'verstak';
    (my $host = $self->{run}) =~ s{([^A-Za-z0-9_.-])}{sprintf '%%%02X', ord $1}ge;
    return "postgresql://verstak\@/$dbname?host=$host&port=6432";
}

sub shutdown ($self) {    ## no critic
    my $pid = delete $self->{pid} // return;
    kill QUIT => $pid;
    wait_until(10, sub { waitpid($pid, 1) != 0 }) or kill KILL => $pid;
    return;
}

1;
