# Postfix's smtp-sink on a free loopback port: takes every mail and throws it away, fast enough to limit nobody. Ends with the object. Where Postfix is not
# installed only its package is fetched and unpacked into the object's directory: installing it would make this machine a mail server.
package Bench::SmtpSink;
use v5.36;
use parent 'Verstak::Guard';
use IO::Socket::INET;
use POSIX ();
use Verstak::Postgres;
use Verstak::Processes qw(slurp);
use Verstak::Wait      qw(wait_for);

sub rank ($self) { return 1 }

sub new ($class) {
    my $self = $class->adopt({}, 'vss-sink');
    chmod 0755, $self->{base};
    my $program = $self->program;
    my $port    = $self->{port} = Verstak::Postgres::free_port();
    defined(my $pid = fork) or die "cannot fork: $!\n";
    if (!$pid) {
        $ENV{LD_LIBRARY_PATH} = "$self->{base}/usr/lib/postfix" if $program =~ /\A\Q$self->{base}\E/;
        open STDOUT, '>', "$self->{base}/log" or POSIX::_exit(127);
        open STDERR, '>&', \*STDOUT or POSIX::_exit(127);
        no warnings 'exec';
        exec Verstak::Postgres::as_user($program, '-c', "127.0.0.1:$port", 1000);
        POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    wait_for('smtp-sink', 10, sub {
        waitpid($pid, POSIX::WNOHANG()) == 0 or die "smtp-sink left:\n" . slurp("$self->{base}/log");
        return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
    });
    return $self;
}

sub program ($self) {
    my ($installed) = grep { -x } map {"$_/smtp-sink"} '/usr/sbin', split /:/, $ENV{PATH};
    return $installed if $installed;
    my $quiet = '>log 2>&1';
    system("cd '$self->{base}' && apt-get download postfix $quiet && dpkg-deb -x postfix_*.deb . $quiet") == 0
        or die "no smtp-sink, and the package postfix cannot be fetched:\n" . slurp("$self->{base}/log");
    return "$self->{base}/usr/sbin/smtp-sink";
}

sub port ($self) { return $self->{port} }

sub shutdown ($self) {    ## no critic
    my $pid = delete $self->{pid} // return;
    kill KILL => $pid;
    waitpid $pid, 0;
    return;
}

1;
