# The frame of requests: what could be read in two ways, or is no HTTP, is refused, answered in the contract's form, and
# ends the connection, so that nothing behind it is taken for a request.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Verstak::Contract;
use Verstak::HTTP qw(chunked);
use Verstak::Server;

my $server  = Verstak::Server->new;
my @workers = $server->pids_of('worker');
my $token   = $server->new_device;
my $behind  = "GET /livez HTTP/1.1\r\nHost: smuggled\r\n\r\n";
my $pull    = '{"since_sequence":0}';
my $push    = "POST /api/v1/sync/pull HTTP/1.1\r\n";
my $auth    = "Authorization: Bearer $token\r\n";

sub show ($bytes) {
    $bytes = substr($bytes, 0, 60) . '…(' . length($bytes) . ')' if length $bytes > 70;
    return $bytes =~ s/\r\n/ | /gr =~ s/([^ -~…])/sprintf '\\x%02x', ord $1/ger;
}

# Sends the bytes with a further request behind them; the answer must be this error, the only one, and the end.
sub refused ($bytes, $status, $code, $what) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $connection = $server->connect;
    $connection->send($bytes . $behind);
    my $response = eval { $connection->response(timeout => 5) };
    is_error($response, $status, $code, $what) or return;
    ok $connection->is_closed(5), '  and the connection ends';
    is $connection->{in}, '', '  with nothing answered behind it';
    return;
}

subtest 'two ways to read the length' => sub {
    my %head = (
        'two different lengths'           => "Content-Length: 20\r\nContent-Length: 5\r\n",
        'two lengths that are the same'   => "Content-Length: 20\r\nContent-Length: 20\r\n",
        'a list of lengths'               => "Content-Length: 20, 20\r\n",
        'length and chunked'              => "Content-Length: 20\r\nTransfer-Encoding: chunked\r\n",
        'chunked and length'              => "Transfer-Encoding: chunked\r\nContent-Length: 20\r\n",
        'two codings'                     => "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        'identity and chunked'            => "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        'a list of codings'               => "Transfer-Encoding: gzip, chunked\r\n",
        'chunked twice'                   => "Transfer-Encoding: chunked, chunked\r\n",
        'gzip'                            => "Transfer-Encoding: gzip\r\n",
        'identity'                        => "Transfer-Encoding: identity\r\n",
        'an unknown coding'               => "Transfer-Encoding: xchunked\r\n",
        'a parameter'                     => "Transfer-Encoding: chunked;q=1\r\n",
        'an empty coding'                 => "Transfer-Encoding:\r\n",
        'a blank in the name'             => "Transfer-Encoding : chunked\r\n",
        'a fold in the coding'            => "Transfer-Encoding:\r\n chunked\r\n",
        'a vertical tab'                  => "Transfer-Encoding: \x0bchunked\r\n",
        'a fold'                          => "X-A: b\r\n c\r\nContent-Length: 20\r\n",
        'a fold by a tab'                 => "X-A: b\r\n\tContent-Length: 5\r\nContent-Length: 20\r\n",
        'a sign'                          => "Content-Length: +20\r\n",
        'a negative length'               => "Content-Length: -1\r\n",
        'a hexadecimal length'            => "Content-Length: 0x14\r\n",
        'a length and a letter'           => "Content-Length: 20a\r\n",
        'a length in two words'           => "Content-Length: 2 0\r\n",
        'an empty length'                 => "Content-Length:\r\n",
        'a fraction'                      => "Content-Length: 20.0\r\n",
        'two hosts'                       => "Host: b\r\nContent-Length: 20\r\n",
        'a line without colon'            => "nonsense\r\nContent-Length: 20\r\n",
        'a line that begins with a colon' => ": x\r\nContent-Length: 20\r\n",
        'a NUL in a value'                => "X-A: a\0b\r\nContent-Length: 20\r\n",
        'a CR in a value'                 => "X-A: a\rb\r\nContent-Length: 20\r\n",
        'a NUL in a name'                 => "X\0A: b\r\nContent-Length: 20\r\n",
        'a blank in a name'               => "X A: b\r\nContent-Length: 20\r\n",
        'a bare LF'                       => "X-A: b\nContent-Length: 20\r\n",
    );
    for my $what (sort keys %head) {
        refused("${push}Host: a\r\n$auth$head{$what}\r\n$pull", 400, 'invalid_request', $what);
    }
    refused("${push}Host: a\r\n${auth}Content-Length: $_\r\n\r\n$pull",
        413, 'request_too_large', "a Content-Length of $_")
        for '9' x 18;
    my $connection = $server->connect;
    $connection->send("${push}Host: a\r\n${auth}Content-Length: " . '9' x 40 . "\r\n\r\n$pull$behind");
    like $connection->response->status, qr/\A4(?:00|13)\z/, 'a Content-Length beyond 64 bits';
    ok $connection->is_closed, '  ends the connection';
};

subtest 'broken chunks' => sub {
    my %body = (
        'no number'                => "\r\n$pull\r\n0\r\n\r\n",
        'letters'                  => "zz\r\n$pull\r\n0\r\n\r\n",
        'a negative size'          => "-1\r\n$pull\r\n0\r\n\r\n",
        'a sign'                   => "+14\r\n$pull\r\n0\r\n\r\n",
        'a hexadecimal prefix'     => "0x14\r\n$pull\r\n0\r\n\r\n",
        'rubbish behind'           => "14xyz\r\n$pull\r\n0\r\n\r\n",
        'a blank before'           => " 14\r\n$pull\r\n0\r\n\r\n",
        'words behind'             => "14 garbage\r\n$pull\r\n0\r\n\r\n",
        'more digits than 64 bits' => 'f' x 17 . "\r\n$pull\r\n0\r\n\r\n",
        'a bare LF'                => "14\n$pull\r\n0\r\n\r\n",
        'no line end after data'   => "14\r\n${pull}0\r\n\r\n",
        'data too long'            => "13\r\n$pull\r\n0\r\n\r\n",
        'a bare LF after data'     => "14\r\n$pull\n0\r\n\r\n",
        'a bare CR'                => "14\r$pull\r\n0\r\n\r\n",
        'rubbish as last size'     => "14\r\n$pull\r\nx\r\n\r\n",
        'a second number'          => "14,14\r\n$pull\r\n0\r\n\r\n",
    );
    for my $what (sort keys %body) {
        refused("${push}Host: a\r\n${auth}Transfer-Encoding: chunked\r\n\r\n$body{$what}",
            400, 'invalid_request', $what);
    }
    my %good = (
        'leading zeros' => "00000014\r\n$pull\r\n0\r\n\r\n",
        'capitals'      => "1\r\n{\r\nA\r\n\"since_seq\r\n9\r\nuence\":0}\r\n0\r\n\r\n",
        'several zeros' => "14\r\n$pull\r\n000\r\n\r\n",
        'one by one'    => join('', map { "1\r\n$_\r\n" } split //, $pull) . "0\r\n\r\n",
    );
    for my $what (sort keys %good) {
        my $connection = $server->connect;
        $connection->send("${push}Host: a\r\n${auth}Transfer-Encoding: Chunked\r\n\r\n$good{$what}$behind");
        is_json_answer($connection->response, $what);
        is_status($connection->response, 200, '  and the request behind it');
    }
};

subtest 'first lines that are none' => sub {
    refused($_ . "\r\nHost: a\r\n\r\n", 400, 'invalid_request', show($_))
        for 'GET', 'GET /livez', 'GET /livez HTTP', 'GET /livez HTTP/x.y', 'GET /livez http/1.1',
        'GET  /livez HTTP/1.1', ' GET /livez HTTP/1.1',
        'GET /livez HTTP/1.1 x', "GET /livez\0 HTTP/1.1", "\0", "GET\t/livez\tHTTP/1.1", 'nonsense',
        "GET /\x01 HTTP/1.1",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    my $connection = $server->connect;
    $connection->send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    is_error($connection->response, 400, 'invalid_request', 'HTTP/2 with prior knowledge');
    ok $connection->is_closed, '  is not spoken';
    for my $line (
        'OPTIONS * HTTP/1.1',
        'CONNECT example.org:443 HTTP/1.1',
        'TRACE / HTTP/1.1',
        'GET example.org HTTP/1.1',
        'get /livez HTTP/1.1',
        ': : HTTP/1.1',
        'G\'T /livez HTTP/1.1',
        'X' x 3000 . ' /livez HTTP/1.1'
        )
    {
        my $odd = $server->connect;
        $odd->send("$line\r\nHost: a\r\n\r\n");
        my $response = $odd->response;
        like $response->status, qr/\A40[045]\z/,                                          show($line);
        like $response->code,   qr/\A(?:not_found|method_not_allowed|invalid_request)\z/, '  with its code';
    }
};

subtest 'another host in the target' => sub {
    my $trap = $server->connect->{port};    # our own port: a proxied request would come back to us
    for my $target ("http://127.0.0.1:$trap/livez", 'http://other.example/livez') {
        my $connection = $server->connect;
        $connection->send("GET $target HTTP/1.1\r\nHost: other.example\r\n\r\n");
        my $response = $connection->response;
        like $response->status, qr/\A(?:200|404|400)\z/, "$target is answered here";
        is $response->header('Via'), undef, '  not passed on';
    }
    is_status($server->request(GET => '/livez', host => $_), 200, "Host: $_")
        for 'anything', "127.0.0.1:$trap", '[::1]:5', 'a_b';
};

subtest 'long paths and heads' => sub {
    refused('GET /' . 'x' x 9000 . " HTTP/1.1\r\nHost: a\r\n\r\n",       414, 'uri_too_long', 'a path of 9000 bytes');
    refused('GET /livez?' . 'x' x 9000 . " HTTP/1.1\r\nHost: a\r\n\r\n", 414, 'uri_too_long', 'a query of 9000 bytes');
    refused('GET /' . 'x' x 100_000 . " HTTP/1.1\r\nHost: a\r\n\r\n", 414, 'uri_too_long', 'a path of 100,000 bytes');
    is_error($server->request(GET => '/' . 'x' x 7000), 404, 'not_found', 'a path of 7000 bytes');
    is_status($server->request(GET => '/livez', headers => [ map { ("X-$_" => 'y' x 200) } 1 .. 80 ]),
        200, 'a head of 16 KiB');
    refused("GET /livez HTTP/1.1\r\nHost: a\r\nX-A: " . 'y' x 40_000 . "\r\n\r\n",
        431, 'head_too_large', 'a header of 40,000 bytes');
    refused("GET /livez HTTP/1.1\r\nHost: a\r\n" . join('', map { "X-$_: " . 'y' x 500 . "\r\n" } 1 .. 90) . "\r\n",
        431, 'head_too_large', '90 headers of 500 bytes');
    for my $case (
        [ '150 headers'             => join '', map { "X-$_: y\r\n" } 1 .. 150 ],
        [ 'a head of 500,000 bytes' => 'X-A: ' . 'y' x 500_000 . "\r\n" ]
        )
    {
        my $connection = $server->connect;
        $connection->send("GET /livez HTTP/1.1\r\nHost: a\r\n$case->[1]\r\n");
        my $response = $connection->response;
        ok $response
            && $response->status =~ /\A4(?:31|00)\z/
            && $response->code =~ /\A(?:head_too_large|invalid_request)\z/, $case->[0]
            or diag $response ? $response->describe : 'no answer';
        ok $connection->is_closed, '  ends the connection';
    }
};

subtest 'versions and Connection' => sub {
    my $connection = $server->connect;
    $connection->send("GET /livez HTTP/1.0\r\n\r\n");
    is_status($connection->response, 200, 'HTTP/1.0 without Host');
    ok $connection->is_closed, '  ends with the answer';
    $connection = $server->connect;
    $connection->send("GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n$behind");
    is_status($connection->response, 200, 'Connection: close');
    ok $connection->is_closed, '  ends with the answer';
    is $connection->{in}, '', '  and nothing behind it is answered';
    is_status(
        $server->request(
            GET     => '/livez',
            headers => [
                Connection       => 'Upgrade, HTTP2-Settings',
                Upgrade          => 'h2c',
                'HTTP2-Settings' => 'AAMAAABkAARAAAAAAAIAAAAA'
            ]
        ),
        200,
        'an upgrade to HTTP/2 is not taken'
    );
    refused("${push}Host: a\r\n${auth}Expect: nonsense\r\nContent-Length: 20\r\n\r\n$pull",
        417, 'expectation_failed', 'another expectation');
};

subtest 'pipelining' => sub {
    my $connection = $server->connect;
    my ($bytes, @want) = ('');
    for my $number (1 .. 200) {
        my $kind = $number % 4;
        $bytes .=
              $kind == 0 ? Verstak::HTTP::head(GET => '/livez')
            : $kind == 1
            ? Verstak::HTTP::head(POST => '/api/v1/sync/pull', token => $token, length => length $pull) . $pull
            : $kind == 2
            ? Verstak::HTTP::head(POST => '/api/v1/sync/pull', token => $token, chunked => 1) . chunked($pull)
            : Verstak::HTTP::head(GET  => "/nowhere/$number");
        push @want, $kind == 3 ? 404 : 200;
    }
    $connection->send($bytes);
    my @got = map { $_ && $_->status } map { $connection->response } @want;
    is_deeply \@got, \@want, '200 requests in one write are answered in their order';
};

subtest 'a request a byte at a time' => sub {
    my $connection = $server->connect;
    $connection->send_slowly("${push}Host: a\r\n${auth}Content-Length: 20\r\n\r\n$pull", 1, 0.001);
    is_json_answer($connection->response, 'with a length');
    $connection->send_slowly("${push}Host: a\r\n${auth}Transfer-Encoding: chunked\r\n\r\n" . chunked($pull), 1, 0.001);
    is_json_answer($connection->response, 'chunked');
};

subtest 'rubbish' => sub {
    srand 20_261_122;
    my $good       = "${push}Host: a\r\n${auth}Content-Length: 20\r\nX-A: b, c\r\n\r\n$pull";
    my $unanswered = 0;
    for my $round (1 .. 300) {
        my $bytes = $good;
        substr $bytes, rand length $bytes, int rand 3, join '', map { chr rand 256 } 0 .. rand 3 for 0 .. rand 4;
        my $connection = $server->connect(timeout => 20);
        $connection->send($bytes);
        $connection->half_close;
        $connection->is_closed(20) or $unanswered++;
        next if $connection->{in} eq '' || $connection->{in} =~ m{\AHTTP/1.1 [24]\d\d };
        fail "round $round: " . show($bytes);
        diag show($connection->{in});
    }
    is $unanswered, 0, 'every connection comes to its end';
    is_deeply [ $server->pids_of('worker') ], \@workers, 'the workers are the same';
};

done_testing;
