# Blobs: upload, download, ranges, limits, quota, and that a refused or broken-off upload leaves nothing behind.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA qw(sha256_hex);
use Test::More;
use Verstak::Contract;
use Verstak::HTTP qw(chunked multipart);
use Verstak::Server;
use Verstak::Wait qw(wait_for wait_until);

my $server = Verstak::Server->new(config => { 'limits.blob_size' => '4MiB' });
my ($name, $password) = $server->create_user;
my $token = $server->pair($name, $password);
my $seed  = 1;

# Bytes that no other call gives.
sub bytes ($size) {
    $seed++;
    my $block = join '', map { pack 'N', ($seed * 2654435761 + $_ * 40503 + $_**2) & 0xffffffff } 0 .. 1023;
    return substr $block x (1 + $size / 4096), 0, $size;
}

sub get ($sha256, %option) {
    my $method = delete $option{method} // 'GET';
    return $server->request($method => "/api/v1/blobs/$sha256", token => $token, %option);
}

sub upload_raw ($type, $body, %option) {
    return $server->request(
        POST  => '/api/v1/blobs/',
        token => $token,
        defined $type ? (type => $type) : (),
        body => $body,
        %option
    );
}

# All files of the blob storage, without its directory's name.
sub files ($of = $server) {
    my $root  = $of->data . '/blobs';
    my @files = sort map { s{\A\Q$root\E/}{}r } split /\n/, qx{find '$root' -type f};
    return @files;
}

# A temporary file goes in a thread, a moment after the answer.
sub left_as ($before, $name) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return ok(wait_until(10, sub { "@{[ files() ]}" eq "@$before" }), $name) || diag explain [ files() ];
}

sub blob_path ($sha256) {
    return $server->data . '/blobs/' . substr($sha256, 0, 2) . '/' . substr($sha256, 2, 2) . "/$sha256";
}

subtest 'up and down' => sub {
    for my $size (0, 1, 2, 1000, 65_535, 65_536, 1_048_577, 3_000_000, 4 * 1024 * 1024) {
        my $bytes  = bytes($size);
        my $answer = is_json_answer($server->upload_response($token, $bytes), "upload of $size bytes");
        is_deeply $answer, { sha256 => sha256_hex($bytes), size => $size }, '  sha256 and size';
        has_types($answer, { sha256 => 'string', size => 'number' }, '  their types');
        my $down = get($answer->{sha256});
        is_status($down, 200, '  download');
        ok $down->body eq $bytes, '  the same bytes';
        is $down->header('Content-Type'),        'application/octet-stream',                   '  Content-Type';
        is $down->header('Content-Length'),      $size,                                        '  Content-Length';
        is $down->header('Content-Disposition'), qq(attachment; filename="$answer->{sha256}"), '  Content-Disposition';
        like $down->header('ETag'), qr/\A"[^"]+"\z/, '  ETag';
        ok -f blob_path($answer->{sha256}), '  the file is where its hash says';
        is -s blob_path($answer->{sha256}), $size, '  with its size';
    }
};

subtest 'again' => sub {
    my $bytes  = bytes(5000);
    my $first  = $server->upload($token, $bytes);
    my @before = files();
    is_deeply $server->upload($token, $bytes), $first,   'an upload again gives the same answer';
    left_as(\@before, 'and no further file');
    is $server->admin(GET => '/admin/api/stats')->json->{blobs}, scalar @before, 'the blobs are counted once';
    my @connection = map { $server->connect } 1 .. 8;
    my $same       = bytes(300_000);
    my ($type, $body) = multipart({ name => 'file', filename => 'x', content => $same });
    $_->send_request(POST => '/api/v1/blobs/', token => $token, type => $type, body => $body) for @connection;
    is_json_answer($_->response, 'one of eight uploads of one content at once') for @connection;
    ok get(sha256_hex($same))->body eq $same, 'and it is there';
    is scalar files(), @before + 1, 'once';
};

subtest 'HEAD, ETag, ranges' => sub {
    my $bytes      = bytes(10_000);
    my $sha256     = $server->upload($token, $bytes)->{sha256};
    my $connection = $server->connect;
    my $head       = $connection->request(HEAD => "/api/v1/blobs/$sha256", token => $token);
    is_status($head, 200, 'HEAD');
    is $head->header('Content-Length'), 10_000,                     'HEAD: Content-Length';
    is $head->header('Content-Type'),   'application/octet-stream', 'HEAD: Content-Type';
    is_status($connection->request(GET => '/livez'), 200, 'the connection is in step after HEAD');

    my $etag = get($sha256)->header('ETag');
    is $head->header('ETag'), $etag, 'HEAD: ETag';
    for my $match ($etag, '*', qq("x", $etag), "W/$etag") {
        my $response = get($sha256, headers => [ 'If-None-Match' => $match ]);
        is_status($response, 304, "If-None-Match: $match");
        is $response->header('ETag'), $etag, '  with the ETag';
    }
    is_status(get($sha256, headers => [ 'If-None-Match' => '"other"' ]), 200, 'If-None-Match: "other"');

    my %range = (
        'bytes=0-0'                       => [ 0,    0 ],
        'bytes=0-99'                      => [ 0,    99 ],
        'bytes=9990-'                     => [ 9990, 9999 ],
        'bytes=-1'                        => [ 9999, 9999 ],
        'bytes=-20000'                    => [ 0,    9999 ],
        'bytes=5000-20000'                => [ 5000, 9999 ],
        'bytes=0-9999'                    => [ 0,    9999 ],
        'bytes=9999-9999'                 => [ 9999, 9999 ],
        'bytes=0-'                        => [ 0,    9999 ],
        'bytes=1-99999999999999999999999' => [ 1,    9999 ],
    );
    for my $range (sort keys %range) {
        my ($from, $to) = @{ $range{$range} };
        my $response = get($sha256, headers => [ Range => $range ]);
        if (length $range > 30 && $response->status == 200) { pass "$range may be ignored"; next }
        is_status($response, 206, "Range: $range");
        is $response->header('Content-Range'),  "bytes $from-$to/10000", '  Content-Range';
        is $response->header('Content-Length'), $to - $from + 1,         '  Content-Length';
        ok $response->body eq substr($bytes, $from, $to - $from + 1), '  the bytes';
    }
    for my $range ('bytes=10000-', 'bytes=20000-30000', 'bytes=-0') {
        my $response = get($sha256, headers => [ Range => $range ]);
        is_status($response, 416, "Range: $range");
        is $response->header('Content-Range'), 'bytes */10000',         '  Content-Range';
        is $response->code,                    'range_not_satisfiable', '  the error is JSON with a code';
    }
    for my $range ('bytes=5-1', 'items=0-1', 'bytes', 'bytes=', 'bytes=a-b', 'bytes=0-1,5-6', 'bytes=--5', 'bytes=1-2x',
        'bytes=' . '0-,' x 2000 . '0-')
    {
        my $response = get($sha256, headers => [ Range => $range ]);
        is_status($response, 200, 'Range: ' . substr($range, 0, 30) . ' is ignored');
        ok $response->body eq $bytes, '  the whole';
    }
    is_status(get($sha256, headers => [ Range => 'bytes=0-9', 'If-Range' => $etag ]), 206, 'If-Range with the ETag');
    is_status(get($sha256, headers => [ Range => 'bytes=0-9', 'If-Range' => '"other"' ]), 200, 'If-Range with another');
    my $ranged = get($sha256, method => 'HEAD', headers => [ Range => 'bytes=0-9' ]);
    like $ranged->status, qr/\A20[06]\z/, 'HEAD with Range';
    my $empty = $server->upload($token, '')->{sha256};
    is_status(get($empty, headers => [ Range => 'bytes=0-0' ]), 416, 'a range of an empty blob');
};

subtest 'hashes that are none' => sub {
    my $sha256 = $server->upload($token, bytes(10))->{sha256};
    for my $method (qw(GET HEAD)) {
        for my $bad (
            'x',      uc $sha256, "${sha256}0", substr($sha256, 1),
            'g' x 64, substr($sha256, 0, 63) . '%67',
            '..',     '%00', "$sha256%00", "$sha256%20", 'a' x 1000
            )
        {
            my $response = get($bad, method => $method);
            if ($method eq 'GET') {
                is_error($response, 400, 'invalid_blob_hash', "GET $bad") if $bad ne '..' && $bad !~ /%00/;
            }
            cmp_ok $response->status, '>=', 400, "$method $bad";
            cmp_ok $response->status, '<',  500, "$method $bad is the client's fault";
        }
    }
};

subtest 'blobs that are not there' => sub {
    my $sha256  = $server->upload($token, bytes(100))->{sha256};
    my $vault   = $server->pair($name, $password, vault_id => 'another');
    my $foreign = $server->new_device;
    my $unknown = sha256_hex('never uploaded');
    my $none    = get($unknown);
    is_error($none, 404, 'blob_not_found', 'unknown');
    for my $case ([ "another vault's", $vault ], [ "another user's", $foreign ]) {
        my ($what, $by) = @$case;
        my $response = $server->request(GET => "/api/v1/blobs/$sha256", token => $by);
        is_error($response, 404, 'blob_not_found', $what);
        is $response->body, $none->body, "$what looks like one that does not exist";
        is_status($server->request(HEAD => "/api/v1/blobs/$sha256", token => $by), 404, "HEAD of $what");
        is_status($server->request(GET => "/api/v1/blobs/$sha256", token => $by, headers => [ 'If-None-Match' => '*' ]),
            404, "If-None-Match does not tell of $what");
    }
};

subtest 'a lost file' => sub {
    my $bytes  = bytes(20_000);
    my $sha256 = $server->upload($token, $bytes)->{sha256};
    unlink blob_path($sha256) or die "cannot unlink: $!";
    is_error(get($sha256), 500, 'blob_unavailable', 'GET of a blob whose file is lost');
    is_status(get($sha256, method => 'HEAD'), 500, 'HEAD');
    is_deeply $server->upload($token, $bytes), { sha256 => $sha256, size => 20_000 }, 'an upload brings it back';
    ok get($sha256)->body eq $bytes, 'and it is there again';
    truncate blob_path($sha256), 100;
    is_error(get($sha256), 500, 'blob_unavailable', 'GET of a blob whose file is cut short');
    $server->upload($token, $bytes);
    ok get($sha256)->body eq $bytes, 'an upload repairs it';
};

subtest 'chunked, and as other clients write it' => sub {
    my $bytes = bytes(200_000);
    my ($type, $body) = multipart({ name => 'file', filename => 'x', content => $bytes });
    my $size = 100;
    is_json_answer(upload_raw($type, undef, chunks => [ unpack "(a$size)*", $body ]), 'chunks of 100 bytes');
    is_json_answer(upload_raw($type, undef, chunks => [$body]),                       'one chunk');
    my $connection = $server->connect;
    $connection->send(Verstak::HTTP::head(
        POST    => '/api/v1/blobs/',
        token   => $token,
        type    => $type,
        chunked => 1,
        headers => [ Expect => '100-continue' ]
    ));
    ok wait_until(5, sub { $connection->wait_readable(time + 1); $connection->{in} =~ m{\AHTTP/1.1 100 } }),
        '100 Continue to who waits for it';
    $connection->send(chunked($body));
    is_json_answer($connection->response, 'then the upload');

    my $content = "content with\r\n--boundary-like lines\r\n--xxx\r\n";
    my %form    = (
        'a quoted boundary'     => [ 'multipart/form-data; boundary="b b"', "--b b\r\nX\r\n\r\n%s\r\n--b b--\r\n" ],
        'a parameter before it' =>
            [ 'multipart/form-data; charset=utf-8; boundary=bb', "--bb\r\nX\r\n\r\n%s\r\n--bb--\r\n" ],
        'other letters' => [ 'Multipart/Form-Data; Boundary=bb', "--bb\r\nX\r\n\r\n%s\r\n--bb--\r\n" ],
        'a preamble'    => [ 'multipart/form-data; boundary=bb', "ignore me\r\n--bb\r\nX\r\n\r\n%s\r\n--bb--\r\n" ],
        'an epilogue'   => [ 'multipart/form-data; boundary=bb', "--bb\r\nX\r\n\r\n%s\r\n--bb--\r\nignore me" ],
        'no line end at the end'    => [ 'multipart/form-data; boundary=bb', "--bb\r\nX\r\n\r\n%s\r\n--bb--" ],
        'blanks after a boundary'   => [ 'multipart/form-data; boundary=bb', "--bb \t\r\nX\r\n\r\n%s\r\n--bb-- \r\n" ],
        'further headers of a part' => [
            'multipart/form-data; boundary=bb',
            "--bb\r\nContent-Type: text/plain\r\nX\r\nX-A: b\r\n\r\n%s\r\n--bb--\r\n"
        ],
        'a boundary of 70 letters' => [
            'multipart/form-data; boundary=' . 'b' x 70,
            '--' . 'b' x 70 . "\r\nX\r\n\r\n%s\r\n--" . 'b' x 70 . "--\r\n"
        ],
    );

    for my $what (sort keys %form) {
        my ($content_type, $text) = @{ $form{$what} };
        $text =~ s/X\r\n/Content-Disposition: form-data; name="file"; filename="a.bin"\r\n/;
        my $answer = is_json_answer(upload_raw($content_type, sprintf $text, $content), $what);
        is $answer->{sha256}, sha256_hex($content), '  the content exactly';
    }
    my $part = "--bb\r\n%s\r\n\r\nabc\r\n--bb--\r\n";
    for my $disposition (
        'Content-Disposition: form-data; name=file; filename=a.bin',
        'content-disposition: FORM-DATA; NAME="file"; FILENAME="a"',
        'Content-Disposition: form-data; filename="a.bin"; name="file"',
        'Content-Disposition: form-data; name="file"; filename="a\\"b;c.bin"',
        "Content-Disposition: form-data; name=\"file\"; filename=\"\xd0\xb6.bin\"",
        'Content-Disposition: form-data; name="file"; filename="a.bin"; filename*=UTF-8\'\'a.bin',
        )
    {
        is_json_answer(upload_raw('multipart/form-data; boundary=bb', sprintf $part, $disposition), $disposition);
    }
};

subtest 'multipart that is none' => sub {
    my @before = files();
    my %file   = (name => 'file', filename => 'a', content => 'abc');
    my %many   = (
        'no part'          => [],
        'two files'        => [ {%file},                         {%file} ],
        'a field before'   => [ { name => 'a', content => 'b' }, {%file} ],
        'a field after'    => [ {%file},                         { name => 'a', content => 'b' } ],
        'another name'     => [ { %file, name     => 'upload' } ],
        'name in capitals' => [ { %file, name     => 'FILE' } ],
        'no name'          => [ { %file, name     => undef } ],
        'no file name'     => [ { %file, filename => undef } ],
    );
    for my $what (sort keys %many) {
        my ($type, $body) = multipart(@{ $many{$what} });
        is_error(upload_raw($type, $body), 400, 'invalid_multipart', $what);
        is_error(upload_raw($type, undef, chunks => [$body]), 400, 'invalid_multipart', "$what, chunked");
    }
    my ($type, $body) = multipart({%file});
    is_error(upload_raw($_, $body), 400, 'invalid_multipart', 'Content-Type ' . ($_ // 'none'))
        for undef, 'application/json', 'multipart/form-data', 'multipart/form-data; boundary=',
        'multipart/form-data; boundary=""',
        'multipart/form-data; boundary=other', 'multipart/mixed; boundary=x',
        'multipart/form-data; boundary=' . 'b' x 71, 'nonsense', '';
    my $disposition = 'Content-Disposition: form-data; name="file"; filename="a"';
    is_error(upload_raw('multipart/form-data; boundary=bb', $_->[1]), 400, 'invalid_multipart', $_->[0])
        for [ 'an empty body' => '' ],
        [ 'no boundary at all'   => 'abc' ],
        [ 'no end'               => "--bb\r\n$disposition\r\n\r\nabc" ],
        [ 'no last boundary'     => "--bb\r\n$disposition\r\n\r\nabc\r\n" ],
        [ 'half a last boundary' => "--bb\r\n$disposition\r\n\r\nabc\r\n--bb-" ],
        [ 'an open part'         => "--bb\r\n$disposition\r\n\r\nabc\r\n--bb\r\n" ],
        [ 'no empty line'        => "--bb\r\n$disposition\r\nabc\r\n--bb--\r\n" ],
        [ 'no header'            => "--bb\r\n\r\nabc\r\n--bb--\r\n" ],
        [ 'only the end'         => "--bb--\r\n" ],
        [ 'another disposition' =>
            "--bb\r\nContent-Disposition: attachment; name=\"file\"; filename=\"a\"\r\n\r\nabc\r\n--bb--\r\n" ],
        [
        'an open quote' => "--bb\r\nContent-Disposition: form-data; name=\"file; filename=a\r\n\r\nabc\r\n--bb--\r\n" ],
        [ 'two dispositions' => "--bb\r\n$disposition\r\n$disposition\r\n\r\nabc\r\n--bb--\r\n" ],
        [ 'endless headers'  => "--bb\r\n$disposition\r\n" . "X-A: b\r\n" x 10_000 . "\r\nabc\r\n--bb--\r\n" ];
    my $no_body = $server->request(POST => '/api/v1/blobs/', token => $token);
    is_error($no_body, 400, 'invalid_multipart', 'no body');
    left_as(\@before, 'nothing of these is left behind');
};

subtest 'too large' => sub {
    my @before = files();
    my $limit  = 4 * 1024 * 1024;
    my $bytes  = bytes($limit + 1);
    is_error($server->upload_response($token, $bytes), 413, 'blob_too_large', 'one byte more');
    my ($type, $body) = multipart({ name => 'file', filename => 'a', content => $bytes });
    is_error(upload_raw($type, undef, chunks => [ unpack '(a65536)*', $body ]), 413, 'blob_too_large', 'chunked');
    ($type, $body) = multipart({ name => 'file', filename => 'a', content => bytes(3 * $limit) });
    is_error(upload_raw($type, $body), 413, 'blob_too_large', 'three times the limit');
    is_error(upload_raw($type, undef, chunks => [ unpack '(a65536)*', $body ]), 413, 'blob_too_large', 'chunked');
    my $connection = $server->connect;
    $connection->send(Verstak::HTTP::head(POST => '/api/v1/blobs/', token => $token, type => $type, length => 1 << 40));
    is_error($connection->response, 413, 'blob_too_large', 'a Content-Length of 1 TiB, before any body');
    left_as(\@before, 'nothing is left behind');
};

subtest 'without a token nothing is read' => sub {
    my @before = files();
    my ($type, $body) = multipart({ name => 'file', filename => 'a', content => 'x' x 1000 });
    is_error($server->request(POST => '/api/v1/blobs/', type => $type, body => $body), 401, 'unauthorized', 'no token');
    is_error($server->request(POST => '/api/v1/blobs/', token => 'a' x 64, type => $type, body => $body),
        401, 'unauthorized', 'an unknown token');
    left_as(\@before, 'nothing is left behind');
};

subtest 'uploads that break off' => sub {
    my @before = files();
    my $bytes  = bytes(3_000_000);
    my ($type, $body) = multipart({ name => 'file', filename => 'a', content => $bytes });
    for my $end (qw(reset close half_close)) {
        for my $part (0, 1, 200, 100_000, length($body) - 1) {
            for my $chunked (0, 1) {
                my $connection = $server->connect;
                my $piece      = substr $body, 0, $part;
                $connection->send(
                    Verstak::HTTP::head(
                        POST  => '/api/v1/blobs/',
                        token => $token,
                        type  => $type,
                        $chunked ? (chunked => 1) : (length => length $body)
                        )
                        . ($chunked && $part ? sprintf("%x\r\n%s\r\n", length $piece, $piece) : $piece)
                );
                $connection->$end;
                next if $end ne 'half_close';
                ok $connection->is_closed, "the server closes what was broken off after $part bytes";
                unlike $connection->{in}, qr{\AHTTP/1.1 2}, 'and accepts nothing';
            }
        }
    }
    is_status($server->request(GET => '/livez'), 200, 'the server goes on');
    is_error(get(sha256_hex($bytes)), 404, 'blob_not_found', 'the blob does not exist');
    left_as(\@before, 'nothing is left behind');
    is_json_answer(upload_raw($type, $body), 'the upload again succeeds');
};

subtest 'a connection goes on after a refused upload' => sub {
    my $connection = $server->connect;
    my ($type, $body) = multipart({ name => 'other', filename => 'a', content => 'abc' });
    is_error($connection->request(POST => '/api/v1/blobs/', token => $token, type => $type, body => $body),
        400, 'invalid_multipart', 'refused');
    is_status($connection->request(GET => '/livez'), 200, 'the next request on the connection');
};

subtest 'quota' => sub {
    my $small = Verstak::Server->new(
        config => { 'limits.vault_quota' => 100_000, 'limits.user_quota' => 150_000, 'server.workers' => 1 });
    my @user  = $small->create_user;
    my %vault = map { $_ => $small->pair(@user, vault_id => $_) } qw(a b c);
    my $up    = sub ($vault, $bytes) { $small->upload_response($vault{$vault}, $bytes) };
    my @bytes = map { bytes($_) } 60_000, 40_000, 1, 50_000, 30_000;
    is_json_answer($up->(a => $bytes[0]), '60,000 of 100,000');
    is_json_answer($up->(a => $bytes[1]), '40,000 more: full to the byte');
    is_error($up->(a => $bytes[2]), 413, 'quota_exceeded', 'one byte more');
    is_json_answer($up->(a => $bytes[0]), 'what is there already costs nothing');
    is_json_answer($up->(b => $bytes[3]), "50,000 in another vault: the user's 150,000 are full");
    is_error($up->(b => $bytes[2]), 413, 'quota_exceeded', 'one byte more for the user');
    is_error($up->(c => $bytes[0]), 413, 'quota_exceeded', 'a blob of another vault counts in this one, too');
    is_json_answer($small->upload_response($small->new_device, $bytes[2]), 'another user has a quota of their own');
    is scalar files($small), 4, 'a refused upload leaves nothing behind' or diag explain [ files($small) ];
    is_error($small->request(GET => '/api/v1/blobs/' . sha256_hex($bytes[0]), token => $vault{c}),
        404, 'blob_not_found', 'and no reference');
    is_error(
        $small->push_response(
            $vault{c},
            [
                Verstak::Server::op(
                    entity_type  => 'file',
                    payload_json => '{"blob":{"sha256":"' . sha256_hex($bytes[0]) . '","size":60000}}'
                )
            ]
        ),
        400,
        'blob_not_owned',
        'nor can it be named'
    );

    my @racer  = map { $small->connect } 1 .. 8;
    my @other  = $small->create_user;
    my $racing = $small->pair(@other);
    for my $i (0 .. $#racer) {
        my ($type, $body) = multipart({ name => 'file', filename => 'a', content => bytes(30_000) });
        $racer[$i]->send_request(POST => '/api/v1/blobs/', token => $racing, type => $type, body => $body);
    }
    my %count;
    $count{ $_->response->status }++ for @racer;
    is_deeply \%count, { 200 => 3, 413 => 5 }, 'uploads at once do not exceed the quota';
    ok wait_until(10, sub { files($small) == 7 }), 'and the refused ones leave nothing behind'
        or diag explain [ files($small) ];
};

subtest 'a large blob on its way' => sub {
    my $server = Verstak::Server->new(config => { 'server.workers' => 1, 'http.send_timeout' => '2s' });
    my $token  = $server->new_device;
    my $size   = 9 * 1024 * 1024 + 7;
    my $bytes  = join '', map { pack 'N', $_ * 2654435761 % 4294967296 } 0 .. $size / 4;
    substr($bytes, $size) = '';
    my $path   = '/api/v1/blobs/' . $server->upload($token, $bytes)->{sha256};
    my ($worker) = $server->pids_of('worker');
    my $descriptors = sub { return scalar(my @fd = glob "/proc/$worker/fd/*") };
    my $before      = $descriptors->();

    my $connection = $server->connect;
    my $whole      = $connection->request(GET => $path, token => $token);
    ok $whole->body eq $bytes, 'every byte';
    is $connection->request(GET => '/livez')->status, 200, 'the connection goes on';
    $connection->send(Verstak::HTTP::head(GET => $path, token => $token) . Verstak::HTTP::head(GET => '/livez'));
    ok $connection->response->body eq $bytes, 'every byte, with another request behind it';
    is $connection->response->status, 200, 'which is answered after it';

    # Around the ends of pieces.
    for my $range ([ 0, 65535 ], [ 0, 65536 ], [ 1, 65536 ], [ 65535, 131072 ], [ 4194303, 4259841 ], [ 0, $size - 1 ], [ $size - 65537, $size - 1 ]) {
        my ($first, $last) = @$range;
        my $part = $connection->request(GET => $path, token => $token, headers => [ Range => "bytes=$first-$last" ]);
        ok $part->status == 206 && $part->body eq substr($bytes, $first, $last - $first + 1), "bytes $first to $last";
    }

    # From the disk: a thread reads what is not in memory. Whole, in ranges, beside each other, broken off.
    my $file  = $server->data . '/blobs' . $path =~ s{.*/((..)(..).*)}{/$2/$3/$1}r;
    my $evict = sub {
        system('dd', 'status=none', "of=$file", 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0') == 0 or die "cannot evict $file\n";
        return qx{fincore -nb -o RES '$file'} =~ /(\d+)/ ? $1 : 0;
    };
    diag 'this file system keeps its files in memory: nothing comes from the disk' if $evict->() > $size / 2;
    my $threads = sub { return scalar(() = glob "/proc/$worker/task/*") };
    my $running = $threads->();
    for my $range ([ 0, $size - 1 ], [ 1, 4259841 ], [ 4194303, 4259841 ], [ 4259840, 8454143 ], [ $size - 1, $size - 1 ]) {
        my ($first, $last) = @$range;
        $evict->();
        my $part = $connection->request(GET => $path, token => $token, headers => [ Range => "bytes=$first-$last" ]);
        ok $part->status == 206 && $part->body eq substr($bytes, $first, $last - $first + 1), "bytes $first to $last from the disk";
    }
    $evict->();
    my @beside = map { $server->connect } 1 .. 6;
    $_->send(Verstak::HTTP::head(GET => $path, token => $token)) for @beside;
    ok $_->response->body eq $bytes, 'every byte, several at once' for @beside;
    for my $round (1 .. 30) {
        $evict->();
        my $broken = $server->connect(receive_buffer => 4096);
        $broken->send(Verstak::HTTP::head(GET => $path, token => $token));
        Verstak::Wait::pause($round / 3000);
        $round % 2 ? $broken->reset : $broken->close;
    }
    undef @beside;
    ok wait_until(20, sub { $descriptors->() <= $before + 1 }), 'clients that go away while the disk is read leave no descriptor';
    is $threads->(), $running, 'nor a thread';

    for my $round (1 .. 20) {
        my $broken = $server->connect(receive_buffer => 4096);
        $broken->send(Verstak::HTTP::head(GET => $path, token => $token));
        $broken->wait_readable($broken->deadline);
        $round % 2 ? $broken->reset : $broken->close;
    }
    ok wait_until(20, sub { $descriptors->() <= $before + 1 }), 'clients that go away in the middle leave no descriptor';
    my $stalled = $server->connect(receive_buffer => 4096);
    $stalled->send(Verstak::HTTP::head(GET => $path, token => $token));
    $stalled->wait_readable($stalled->deadline);
    ok wait_until(30, sub { $descriptors->() <= $before + 1 }), 'one that takes nothing is cut off';
    ok $server->request(GET => $path, token => $token)->body eq $bytes, 'the next client gets every byte';
    is_deeply [ $server->pids_of('worker') ], [$worker], 'the worker is the same';
};

done_testing;
