# Writers that go on through every fault: each is a process that pushes operations (and uploads blobs) to a device's vault one after the other, sends
# what was not acknowledged again, and writes every acknowledgement into a file before it goes on. What the file holds must be in the log afterwards.
#
#   my $load = Verstak::Load->new($server, tokens => [$a, $b], blobs => 1);
#   …faults…
#   $load->stop;  my @defects = $load->defects;
package Verstak::Load;
use v5.36;
use Digest::SHA qw(sha256_hex);
use POSIX ();
use Verstak::HTTP qw(multipart);
use Verstak::Server;
use Verstak::Wait qw(pause wait_for wait_until);

# Options: tokens (one writer each), blobs (every tenth step uploads one), record (directory; the server's base), batch (operations a push at most),
# rest (seconds between two steps of a writer: the log stays small enough to be read again after each fault).
sub new ($class, $server, %option) {
    my $self = bless { server => $server, owner => $$, port => $server->port, batch => 5, rest => 0.01, record => $server->base, %option }, $class;
    my $number = 0;
    $self->start_writer($_, ++$number) for @{ $self->{tokens} };
    return $self;
}

sub record_file ($self, $number) { return "$self->{record}/acknowledged-$number" }

sub start_writer ($self, $token, $number) {
    pipe my $reader, my $writer or die "cannot make a pipe: $!\n";
    open my $record, '>>', $self->record_file($number) or die "cannot write a record: $!\n";
    defined(my $pid = fork) or die "cannot fork: $!\n";
    if (!$pid) {
        close $writer;
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        eval { write_until_told($self, $token, $number, $record, $reader); 1 } or print {*STDERR} "writer $number: $@";
        POSIX::_exit(0);
    }
    close $reader;
    push @{ $self->{writers} }, { pid => $pid, number => $number, token => $token, stop => $writer };
    return;
}

# In the writer's process. The pipe's end of file tells it to finish what it has begun and leave.
sub write_until_told ($self, $token, $number, $record, $reader) {
    my $told = '';
    vec($told, fileno $reader, 1) = 1;
    my ($step, $sequence) = (0, 0);
    my $stopped = sub { return scalar select my $ready = $told, undef, undef, 0 };
    until ($stopped->()) {
        pause($self->{rest});
        $step++;
        if ($self->{blobs} && $step % 10 == 0) {
            my $bytes = "blob $number $step " . 'x' x (($step * 7919) % 200_000);
            my ($type, $body) = multipart({ name => 'file', filename => 'b', type => 'application/octet-stream', content => $bytes });
            my $response = $self->until_answered('/api/v1/blobs/', $token, type => $type, body => $body);
            syswrite $record, 'blob ' . sha256_hex($bytes) . ' ' . length($bytes) . "\n" if $response;
            next;
        }
        my @ops = map { Verstak::Server::op(op_id => "w$number-" . ++$sequence, entity_id => "Notes/$number.md", client_sequence => $sequence) }
            1 .. 1 + $step % $self->{batch};
        my %key = $step % 3 ? () : (idempotency_key => "key-$number-$step");
        my $response = $self->until_answered('/api/v1/sync/push', $token, json => { ops => \@ops, %key }) // return;
        my $accepted = $response->json->{accepted};
        syswrite $record, join '', map { "op $_\n" } @$accepted;
    }
    return;
}

# Sends a request again until it is answered with 200, as a client does; undef when it was not within two minutes. Other answers than 200 and
# 503 are defects. A worker that was just started may not have its database yet while another says that it is ready.
sub until_answered ($self, $path, $token, %option) {
    my $method = delete $option{method} // 'POST';
    my $answer;
    wait_until(
        120,
        sub {
            my $connection = $self->{connection} //= eval { Verstak::HTTP->new('127.0.0.1', $self->{port}, timeout => 40) } // return 0;
            my $response   = eval { $connection->request($method => $path, token => $token, %option) };
            if (!$response || $response->status != 200) {
                delete $self->{connection};
                print {*STDERR} 'unexpected answer: ', $response->describe, "\n" if $response && $response->status != 503;
                return 0;
            }
            return $answer = $response;
        }
    );
    return $answer;
}

# What a writer has acknowledgements for: { op => [… in order], blob => { sha256 => size } }. Reads on from the last look.
sub acknowledged ($self, $writer) {
    my $seen = $writer->{seen} //= { op => [], blob => {}, rest => '' };
    open my $fh, '<', $self->record_file($writer->{number}) or die "cannot read a record: $!\n";
    seek $fh, $writer->{offset} // 0, 0;
    read $fh, my $new, 1 << 26;
    $writer->{offset} = tell $fh;
    $seen->{rest} .= $new;
    while ($seen->{rest} =~ s/\A(.*)\n//) {
        my $line = $1;
        if ($line =~ /\Aop (\S+)/) { push @{ $seen->{op} }, $1 }
        if ($line =~ /\Ablob (\S+) (\d+)/) { $seen->{blob}{$1} = $2 }
    }
    return $seen;
}

# Everything acknowledged up to now, over all writers.
sub count ($self) {
    my $count = 0;
    for my $writer (@{ $self->{writers} }) {
        my $seen = $self->acknowledged($writer);
        $count += @{ $seen->{op} } + keys %{ $seen->{blob} };
    }
    return $count;
}

# Stops the writers where they are and lets them go on; the log must not grow faster than it is checked.
sub signal_writers ($self, $signal) {
    kill $signal => map { $_->{pid} // () } @{ $self->{writers} };
    return;
}

sub stop ($self) {
    close delete $_->{stop} for grep { $_->{stop} } @{ $self->{writers} };
    for my $writer (grep { $_->{pid} } @{ $self->{writers} }) {
        waitpid delete $writer->{pid}, 0;
    }
    return $self;
}

# Compares the server's logs with the records; the list of what is wrong, empty when all is well. The records are read before the log, so that every
# line in them must be there already; the writers rest meanwhile.
sub defects ($self) {
    my @defects;
    $self->signal_writers('STOP');
    for my $writer (@{ $self->{writers} }) {
        my $seen = $self->acknowledged($writer);
        push @defects, map { "writer $writer->{number}: $_" } $self->log_defects($writer, $seen->{op}), $self->blob_defects($writer, $seen->{blob});
    }
    $self->signal_writers('CONT');
    return @defects;
}

# The vault is read on from the cursor of the last look.
sub log_defects ($self, $writer, $acknowledged) {
    my @defects;
    my $log = $writer->{log} //= [];
    my $more = 1;
    while ($more) {
        my $page = $self->until_answered('/api/v1/sync/pull', $writer->{token}, json => { since_sequence => scalar @$log })
            // return 'pull is not answered';
        for my $op (@{ $page->json->{ops} }) {
            push @$log, $op->{op_id};
            push @defects, "sequence $op->{server_sequence} where " . @$log . ' belongs' if $op->{server_sequence} != @$log;
        }
        $more = $page->json->{has_more};
    }
    my $position = 0;
    my %position = map { $_ => ++$position } @$log;
    push @defects, 'an operation is stored twice' if keys %position != @$log;
    my $last = 0;
    for my $id (@$acknowledged) {
        my $at = $position{$id};
        if (!$at)           { push @defects, "acknowledged $id is lost" }
        elsif ($at < $last) { push @defects, "acknowledged $id stands before an earlier one" }
        else                { $last = $at }
    }
    return @defects;
}

sub blob_defects ($self, $writer, $blobs) {
    my @defects;
    for my $sha256 (grep { !$writer->{checked}{$_}++ } sort keys %$blobs) {
        my $response = $self->until_answered("/api/v1/blobs/$sha256", $writer->{token}, method => 'GET');
        if    (!$response)                             { push @defects, "acknowledged blob $sha256 is not there" }
        elsif (sha256_hex($response->body) ne $sha256) { push @defects, "blob $sha256 has other bytes" }
    }
    return @defects;
}

sub DESTROY ($self) {
    return if $self->{owner} != $$;
    local ($@, $?, $!);
    for my $writer (grep { $_->{pid} } @{ $self->{writers} }) {
        kill KILL => $writer->{pid};
        waitpid $writer->{pid}, 0;
    }
    return;
}

1;
