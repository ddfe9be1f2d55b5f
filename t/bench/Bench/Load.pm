# Load generators of the bench: wrk (HTTP), pgbench (the same SQL without us), and a paced prober of health's latency. All on loopback, all bounded.
package Bench::Load;
use v5.36;
use parent 'Exporter';
use Bench::Figures qw(seconds);
use File::Basename qw(dirname);
use POSIX ();
use Time::HiRes qw(sleep time);
use Verstak::HTTP;
use Verstak::Postgres;
our @EXPORT_OK = qw(wrk wrk_plain pgbench prober percentile);

my $lua = dirname(__FILE__) . '/../wrk.lua';

sub run ($name, @command) {
    open my $pipe, '-|', @command or die "cannot run $name: $!\n";
    my $output = do { local $/; <$pipe> };
    close $pipe or die "$name failed:\n$output";
    return $output;
}

# Requests a second of wrk.lua's load; dies when a request failed. $threads, $connections, then the script's arguments.
sub wrk ($port, $threads, $connections, @arguments) {
    my $output = run('wrk', 'wrk', "-t$threads", "-c$connections", '-d' . seconds() . 's', '--timeout', '30s', '-s', $lua,
        "http://127.0.0.1:$port/", '--', @arguments);
    my ($requests, $microseconds, $errors) = $output =~ /^result: (\d+) (\d+) (\d+)/m or die "wrk says:\n$output";
    die "$errors of $requests requests failed\n" if $errors;
    return $requests / ($microseconds / 1e6);
}

# Requests a second of plain GETs.
sub wrk_plain ($url, $threads, $connections) {
    my $output = run('wrk', 'wrk', "-t$threads", "-c$connections", '-d' . seconds() . 's', $url);
    die "wrk says:\n$output" if $output =~ /Non-2xx|Socket errors/;
    return $output =~ m{^Requests/sec:\s+([\d.]+)}m ? $1 : die "wrk says:\n$output";
}

# Transactions a second of pgbench over scripts (one is taken at random each time), prepared, on the server's own private database.
sub pgbench ($server, $clients, @scripts) {
    my @socket = glob $server->data . '/run/.s.PGSQL.*[0-9]';
    my ($port) = ($socket[0] // die "no private database\n") =~ /(\d+)\z/;
    my @command = (Verstak::Postgres::bin_dir() . '/pgbench', '-n', '-M', 'prepared', "-c$clients", '-j2', '-T', seconds(),
        '-h', $server->data . '/run', '-p', $port, '-U', 'verstak', map({ ('-f', $_) } @scripts), 'verstak');
    my $output = run('pgbench', Verstak::Postgres::as_user(@command));
    return $output =~ /^tps = ([\d.]+)/m ? $1 : die "pgbench says:\n$output";
}

sub percentile ($share, @values) {
    my @sorted = sort { $a <=> $b } @values;
    return $sorted[ POSIX::floor($share * $#sorted) ];
}

# Asks health every 5 ms on a connection of its own while $work runs in this process; returns the latencies in milliseconds.
sub prober ($port, $work) {
    pipe my $reader, my $writer or die "cannot make a pipe: $!\n";
    pipe my $stop_reader, my $stop_writer or die "cannot make a pipe: $!\n";
    defined(my $pid = fork) or die "cannot fork: $!\n";
    if (!$pid) {
        close $_ for $reader, $stop_writer;
        probe($port, $writer, $stop_reader);
        POSIX::_exit(0);
    }
    close $_ for $writer, $stop_reader;
    $work->();
    close $stop_writer;
    my @latencies = map { $_ + 0 } <$reader>;
    waitpid $pid, 0;
    @latencies or die "the prober measured nothing\n";
    return @latencies;
}

sub probe ($port, $writer, $stop) {
    my $connection = Verstak::HTTP->new('127.0.0.1', $port);
    my @latencies;
    my $stopped = '';
    vec($stopped, fileno $stop, 1) = 1;
    until (select(my $ready = $stopped, undef, undef, 0.005)) {
        my $start    = time;
        my $response = $connection->request(GET => '/api/v1/health');
        push @latencies, (time - $start) * 1000 if $response && $response->status == 200;
    }
    print {$writer} "$_\n" for @latencies;
    close $writer;
    return;
}

1;
