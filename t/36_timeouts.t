# Who makes no progress is cut, who is slow but moves is not; a worker's connections have a cap.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA qw(sha256_hex);
use Test::More;
use Time::HiRes qw(time);
use Verstak::Contract;
use Verstak::HTTP qw(multipart);
use Verstak::Server;
use Verstak::Wait qw(wait_until);

my $server = Verstak::Server->new(
    config => {
        'http.idle_timeout' => '2s',
        'http.head_timeout' => '1s',
        'http.body_timeout' => '1s',
        'http.send_timeout' => '2s',
        'server.workers'    => 1,
    }
);
my $token = $server->new_device;
my ($type, $body) = multipart({ name => 'file', filename => 'a', content => my $bytes = 'slow but moving ' x 40 });
my $head = Verstak::HTTP::head(POST => '/api/v1/blobs/', token => $token, type => $type, length => length $body);

subtest 'stalled' => sub {
    my %stalled = (
        'an open connection' => [ '',                            1.5 ],
        'half a head'        => [ "GET /livez HTTP/1.1\r\nHo",   0.5 ],
        'one byte'           => [ 'G',                           0.5 ],
        'a head and no body' => [ $head,                         0.5 ],
        'half a body'        => [ $head . substr($body, 0, 300), 0.5 ],
        'half a chunk'       => [
            Verstak::HTTP::head(POST => '/api/v1/blobs/', token => $token, type => $type, chunked => 1) . "ff\r\nabc",
            0.5
        ],
        'a kept-alive connection' => [ '', 1.5 ],
    );
    my %connection = map { $_ => $server->connect } keys %stalled;
    is_status($connection{'a kept-alive connection'}->request(GET => '/livez'), 200, 'a first request');
    my $start = time;
    $connection{$_}->send($stalled{$_}[0]) for keys %stalled;
    my %took;
    wait_until(
        20,
        sub {
            for my $what (grep { !defined $took{$_} } keys %stalled) {
                $took{$what} = time - $start if $connection{$what}->is_closed(0.01);
            }
            return keys %took == keys %stalled;
        }
    );
    for my $what (sort keys %stalled) {
        ok defined $took{$what}, "$what is cut" or next;
        cmp_ok $took{$what}, '>', $stalled{$what}[1],     '  not before its time';
        cmp_ok $took{$what}, '<', $stalled{$what}[1] + 6, '  nor long after' if !$ENV{VERSTAK_TEST_SLOWNESS};
        my $answer = $connection{$what}{in};
        ok $answer eq '' || $answer =~ m{\AHTTP/1.1 408 .*"code":\s*"request_timeout"}s,
            '  without an answer, or with a 408'
            or diag $answer;
    }
};

subtest 'slow but moving' => sub {
    my $connection = $server->connect;
    my $start      = time;
    $connection->send_slowly($head, 40, 0.05);
    $connection->send_slowly($body, 40, 0.2);
    my $answer = is_json_answer($connection->response, 'an upload of a few bytes at a time');
    cmp_ok time - $start, '>', 2, 'which took longer than every limit';
    is $answer->{sha256}, sha256_hex($bytes), 'arrived whole';
};

subtest 'a client that does not read' => sub {
    my $blob       = 'y' x 8_000_000;
    my $sha256     = $server->upload($token, $blob)->{sha256};
    my $connection = $server->connect(receive_buffer => 4096);
    $connection->send(Verstak::HTTP::head(GET => "/api/v1/blobs/$sha256", token => $token));
    my $fds  = sub { my $pid = ($server->pids_of('worker'))[0]; scalar(() = glob "/proc/$pid/fd/*") };
    my $open = $fds->();
    ok wait_until(20, sub { $fds->() < $open }), 'is cut, and its file closed';
    my $slow = $server->connect(receive_buffer => 65_536, timeout => 60);
    my ($got, $start) = (0, time);
    $slow->request(
        GET   => "/api/v1/blobs/$sha256",
        token => $token,
        sink  => sub ($piece) { $got += length $piece; Verstak::Wait::pause(0.04) }
    );
    cmp_ok time - $start, '>', 2, 'one that reads slowly takes longer than the limit';
    is $got, length $blob, 'and gets it all';
};

subtest 'a handler that works is not cut' => sub {
    my @connection = map { $server->connect } 1 .. 20;
    $_->send_request(POST => '/api/v1/sync/pull', token => $token, json => { since_sequence => 0 }) for @connection;
    is_json_answer($_->response, 'answered') for @connection;
};

subtest 'a cap on connections' => sub {
    my $small = Verstak::Server->new(
        config => { 'server.workers' => 1, 'http.max_connections' => 16, 'http.idle_timeout' => '2s' });
    my @open = map { $small->connect } 1 .. 40;
    $_->send_request(GET => '/livez') for @open;
    my @answer = map { $_->response(timeout => 30) } @open;
    is scalar(grep { $_ && $_->status == 200 } @answer), 40, 'more than the cap wait and are served when others end';
};

done_testing;
