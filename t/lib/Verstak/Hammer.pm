# Requests on new and on kept-alive connections until stopped, without a pause unless rest (seconds) is given: for tests that nothing is refused or reset.
#
#   my $hammer = Verstak::Hammer->new($server->port, processes => 4);
#   my ($count, @failed) = $hammer->stop;
package Verstak::Hammer;
use v5.36;
use POSIX ();
use Verstak::HTTP;
use Verstak::Wait;

sub new ($class, $port, %option) {
    my $self = bless { port => $port, path => $option{path} // '/livez', rest => $option{rest} // 0, hammers => [] }, $class;
    $self->start($_) for 1 .. $option{processes} // 3;
    return $self;
}

sub start ($self, $number) {
    pipe my $stop, my $keep or die "cannot make a pipe: $!\n";
    pipe my $said, my $say  or die "cannot make a pipe: $!\n";
    defined(my $pid = fork) or die "cannot fork: $!\n";
    if (!$pid) {
        close $keep;
        # The end of file of the parent's pipe says stop, also when the parent died.
        close $_->{keep} for @{ $self->{hammers} };
        my $told = '';
        vec($told, fileno $stop, 1) = 1;
        $self->hammer($number, $say, sub { return scalar select my $ready = $told, undef, undef, 0 });
        POSIX::_exit(0);
    }
    push @{ $self->{hammers} }, { pid => $pid, keep => $keep, said => $said };
    return;
}

# Process 1 opens a connection for each request; the others keep theirs for as long as the server does.
sub hammer ($self, $number, $say, $stopped) {
    my ($count, $kept) = (0);
    until ($stopped->()) {
        $kept = undef if $number == 1;
        my $ok = eval { $kept = $self->one_request($kept); 1 };
        if (!$ok) {
            $kept = undef;
            syswrite $say, "failed: $@";
        }
        $count++;
        Verstak::Wait::pause($self->{rest}) if $self->{rest};
    }
    syswrite $say, "count $count\n";
    return;
}

# Returns the connection when it stays open. One that the server closed between two requests is no failure: HTTP allows it.
sub one_request ($self, $kept) {
    my $connection = $kept // Verstak::HTTP->new('127.0.0.1', $self->{port}, timeout => 20);
    my $response   = $connection->request(GET => $self->{path});
    if (!$response) {
        die "connection closed without an answer\n" if !$kept || $connection->{reset};
        return;
    }
    die 'status ' . $response->status . "\n" if $response->status != 200;
    return ($response->header('Connection') // '') =~ /close/i ? undef : $connection;
}

# (number of requests, what went wrong…)
sub stop ($self) {
    my ($text, $count) = ('', 0);
    close delete $_->{keep} for @{ $self->{hammers} };
    for my $hammer (@{ delete $self->{hammers} }) {
        while (sysread $hammer->{said}, my $more, 65536) { $text .= $more }
        waitpid $hammer->{pid}, 0;
    }
    $count += $_ for $text =~ /^count (\d+)$/mg;
    return ($count, grep { /^failed/ } split /\n/, $text);
}

1;
