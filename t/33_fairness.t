# What one vault's clients do does not hold up another's: pushes that wait for one vault's lock leave connections for all others, and give up in time.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX qw(WNOHANG);
use Test::More;
use Time::HiRes qw(time);
use Verstak::Server;
use Verstak::SlowDisk;
use Verstak::Wait qw(pause wait_for wait_until);

my $server = Verstak::Server->new(
    config => { 'server.workers' => 1, 'database.work_connections' => 4, 'database.statement_timeout' => '12s', 'http.request_timeout' => '20s' });
my $busy     = $server->new_device;
my $stranger = $server->new_device;
my $dbh      = $server->dbh;

sub push_of ($token) {
    my $connection = $server->connect(timeout => 30);
    $connection->send_request(POST => '/api/v1/sync/push', token => $token, json => { ops => [ Verstak::Server::op() ] });
    return $connection;
}

subtest 'a vault whose lock is held' => sub {
    $server->push($busy, Verstak::Server::op());
    my $sql = q{FROM vaults v JOIN devices d ON d.vault_id = v.id ORDER BY d.id LIMIT 1};
    my ($vault) = $dbh->selectrow_array("SELECT v.id $sql");
    $dbh->begin_work;
    $dbh->selectrow_array('SELECT 1 FROM vaults WHERE id = ? FOR UPDATE', undef, $vault);
    my @waiting = map { push_of($busy) } 1 .. 12;
    my $waits   = 'SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = $$Lock$$';
    my $watch   = $server->dbh;
    wait_for('a push to wait for the lock', 10, sub { $watch->selectrow_array($waits) });
    is scalar($server->push($stranger, Verstak::Server::op())->{count}), 1, "a stranger's push is answered meanwhile" for 1 .. 5;
    cmp_ok scalar($watch->selectrow_array($waits)), '>', 0, 'the others still wait';
    my $first = $waiting[0]->response;
    is $first->status, 503, 'a push that waits too long gets a 503';
    ok $first->header('retry-after'), 'and is told when to come back';
    $dbh->rollback;
    my %status;
    $status{ $_->response->status }++ for @waiting[ 1 .. 11 ];
    is_deeply [ grep { $_ != 200 && $_ != 503 } keys %status ], [], 'the rest is stored or told to come back';
    ok $status{200}, 'those that were still waiting are stored';
};

subtest 'a device that pushes without pause' => sub {
    my @flood = map { push_of($busy) } 1 .. 40;
    is scalar($server->push($stranger, Verstak::Server::op())->{count}), 1, "a stranger's push gets through" for 1 .. 3;
    is_deeply [ grep { $_->response->status != 200 } @flood ], [], 'and every one of the flood is stored';
};

subtest 'clients that do not take their pages' => sub {
    my $server = Verstak::Server->new(config => { 'server.workers' => 1, 'http.answer_memory' => '16MiB' });
    my $token  = $server->new_device;
    $server->push($token, map { Verstak::Server::op(payload_json => '"' . 'x' x 250_000 . '"') } 1 .. 7) for 1 .. 2;
    my @slow = map {
        my $connection = $server->connect(receive_buffer => 4096, timeout => 30);
        $connection->send_request(POST => '/api/v1/sync/pull', token => $token, json => { since_sequence => 0 });
        $connection;
    } 1 .. 12;
    ok $server->log_like(qr/answers wait for slow clients \(http\.answer_memory\)/), 'the log says that the memory for answers is taken';
    my $response = $server->request(POST => '/api/v1/sync/pull', token => $token, json => { since_sequence => 0 });
    is $response->status, 503, 'a further large page has to wait';
    ok $response->header('retry-after'), 'with Retry-After';
    is $server->push($token, Verstak::Server::op())->{count}, 1, 'a push does not';
    is scalar @{ $server->pull($token, 14)->{ops} }, 1,          'nor does a small page';
    $_->close for @slow;
    ok wait_until(30, sub { $server->request(POST => '/api/v1/sync/pull', token => $token, json => { since_sequence => 0 })->status == 200 }),
        'once the slow clients have gone there is room again';
};

# Takes the blob out of memory and has the worker's disk read slowly, until what is returned goes. Nothing: that cannot be had.
sub evicted_on_slow_disk ($server, $sha256, $bytes_per_second) {
    my ($worker) = $server->pids_of('worker');
    my $file = $server->data . '/blobs/' . $sha256 =~ s{((..)(..).*)}{$2/$3/$1}r;
    system('dd', 'status=none', "of=$file", 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0') == 0 or die "cannot evict $file\n";
    return Verstak::SlowDisk->new($worker, $file, $bytes_per_second);
}

subtest 'a download from a slow disk' => sub {
    my $server = Verstak::Server->new(config => { 'server.workers' => 1, 'http.send_timeout' => '1s' });
    my $token  = $server->new_device;
    my $bytes  = join '', map { pack 'N', $_ * 2654435761 % 4294967296 } 0 .. 2_250_000;
    my $sha256 = $server->upload($token, $bytes)->{sha256};
    my $slow = evicted_on_slow_disk($server, $sha256, 2_000_000) or plan skip_all => $Verstak::SlowDisk::why;
    my $pid  = fork // die "cannot fork: $!\n";
    POSIX::_exit($server->request(GET => "/api/v1/blobs/$sha256", token => $token)->body eq $bytes ? 0 : 1) if !$pid;
    my ($beside, $connection, $since) = (0, $server->connect, time);
    $beside += $connection->request(GET => '/livez')->status == 200, pause(0.01) until waitpid $pid, WNOHANG;
    is $?, 0, 'arrives whole, though the client gets nothing for two seconds at a time';
SKIP: {
        skip 'the limit of the disk does nothing here', 1 if time - $since < 3;
        # It takes more than four seconds. A loop that waited for the disk would answer between its turns of 4 MiB, three times.
        cmp_ok $beside, '>', 30, "$beside other requests were answered meanwhile";
    }
};

subtest 'downloads that cannot begin in time' => sub {
    my $server = Verstak::Server->new(config => { 'server.workers' => 1, 'http.request_timeout' => '2s' });
    my $token  = $server->new_device;
    my $sha256 = $server->upload($token, join '', map { pack 'N', $_ * 2654435761 % 4294967296 } 0 .. 2_250_000)->{sha256};
    my $slow = evicted_on_slow_disk($server, $sha256, 100_000) or plan skip_all => $Verstak::SlowDisk::why;
    my @waiting = map { $server->connect(timeout => 60) } 1 .. 8;
    $_->send(Verstak::HTTP::head(GET => "/api/v1/blobs/$sha256", token => $token)) for @waiting;
    # Four are in threads, which need forty seconds for 4 MiB; the other four get their answer when their time is over.
    my %readable;
    wait_for('the answers of those that wait for a thread', 20, sub {
        $readable{$_} ||= $waiting[$_]->wait_readable(time + 0.01) for keys @waiting;
        4 <= grep { $_ } values %readable;
    });
    my @answered = @waiting[ grep { $readable{$_} } keys @waiting ];
    is scalar(@answered), 4, 'half of them are answered while the disk reads';
    for my $answer (map { $_->response } @answered) {
        is $answer->status, 503, 'a 503';
        ok $answer->header('Retry-After'), 'with Retry-After';
    }
    undef $slow;
    is $_->response->status, 503, 'the others when the disk has answered' for @waiting[ grep { !$readable{$_} } keys @waiting ];
    is $server->request(GET => "/api/v1/blobs/$sha256", token => $token)->status, 200, 'and the next one gets it';
};

done_testing;
