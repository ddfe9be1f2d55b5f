#!/usr/bin/perl
# Uploads stream: refused before their body, broken off anywhere, cut in any pieces, followed by other requests, many at once,
# onto a full disk, while the server leaves. Whatever happens, nothing is left behind.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA qw(sha256_hex);
use Test::More;
use Verstak::Contract;
use Verstak::HTTP qw(chunked multipart);
use Verstak::Postgres;
use Verstak::Server;
use Verstak::Wait qw(wait_for wait_until);

my $server = Verstak::Server->new(config => { 'server.workers' => 1, 'limits.blob_size' => '8MiB', 'http.body_timeout' => '2s' });
my $token = $server->new_device;
my $seed  = 1;

# Bytes that no other call gives, with line ends among them.
sub bytes ($size) {
    $seed++;
    my $block = join '', map { pack 'N', ($seed * 2654435761 + $_ * 40503 + $_**2) & 0xffffffff } 0 .. 1021;
    return substr "$block\r\n--\r\n" x (1 + $size / 4094), 0, $size;
}

sub form ($bytes) { return multipart({ name => 'file', filename => 'a', content => $bytes }) }

sub head (%option) { return Verstak::HTTP::head(POST => '/api/v1/blobs/', %option) }

sub files ($of = $server) {
    my $root = $of->data . '/blobs';
    return map { s{\A\Q$root\E/}{}r } split /\n/, qx{find '$root' -type f};
}

sub temporary ($of = $server) { return scalar grep { m{\Atmp/} } files($of) }

sub descriptors ($of = $server) {
    my ($worker) = $of->pids_of('worker');
    return scalar(() = glob "/proc/$worker/fd/*");
}

sub nothing_left ($what, $open, $of = $server) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok wait_until(15, sub { temporary($of) == 0 }), "$what: no temporary file" or diag explain [ files($of) ];
    ok wait_until(15, sub { descriptors($of) <= $open }), "$what: no descriptor" or diag descriptors($of) . " of $open";
    return;
}

# All connections to the database are there before descriptors are counted.
my @first = map { $server->connect } 1 .. 12;
for my $connection (@first) {
    my ($type, $body) = form(bytes(1000));
    $connection->send_request(POST => '/api/v1/blobs/', token => $token, type => $type, body => $body);
}
is_json_answer($_->response, 'an upload') for @first;
undef @first;
wait_until(5, sub { state $last = 0; my $now = descriptors(); my $same = $now == $last; $last = $now; Verstak::Wait::pause(0.3); $same });
my $open = descriptors();

subtest 'refused before the body is sent' => sub {
    my ($type, $body) = form(bytes(1000));
    for my $expect (0, 1) {
        for my $chunked (0, 1) {
            my @expect = $expect ? (headers => [ Expect => '100-continue' ]) : ();
            my $what = ($expect ? 'with' : 'without') . ' Expect, ' . ($chunked ? 'chunked' : 'with a length');
            my @body = (type => $type, $chunked ? (chunked => 1) : (length => 5_000_000), @expect);
            for my $case ([ 'no token' ], [ 'an unknown token', token => 'a' x 64 ], [ 'a malformed one', token => 'x' ]) {
                my ($name, @token) = @$case;
                my $connection = $server->connect;
                $connection->send(head(@token, @body));
                is_error($connection->response(timeout => 10), 401, 'unauthorized', "$name, $what");
                is_deeply $connection->{interim} // [], [], '  without "100 Continue"';
                ok $connection->is_closed, '  and the connection ends';
            }
            my $bad = $server->connect;
            $bad->send(head(token => $token, @body, type => 'text/plain'));
            is_error($bad->response, 400, 'invalid_multipart', "no multipart, $what");
        }
    }
    my $connection = $server->connect;
    $connection->send(head(type => $type, length => 8_000_000) . bytes(7_000_000));
    is_error($connection->response, 401, 'unauthorized', 'an answer that is not lost in the middle of the body');
    nothing_left('refused', $open);
};

subtest '100 Continue' => sub {
    my ($type, $body) = form(my $bytes = bytes(100_000));
    for my $expect ('100-continue', '100-Continue') {
        my $connection = $server->connect;
        $connection->send(head(token => $token, type => $type, length => length $body, headers => [ Expect => $expect ]));
        ok wait_until(10, sub { $connection->wait_readable(time + 1); $connection->{in} =~ /\AHTTP\/1.1 100 / }), $expect;
        $connection->send($body);
        is is_json_answer($connection->response, '  then the body')->{sha256}, sha256_hex($bytes), '  whole';
        is_status($connection->request(GET => '/livez'), 200, '  the next request on the connection');
    }
    my $connection = $server->connect;
    $connection->send(head(token => $token, type => $type, length => length $body, headers => [ Expect => 'the-unexpected' ]));
    is_error($connection->response, 417, 'expectation_failed', 'another expectation');
};

subtest 'in any pieces' => sub {
    my ($type, $body) = form(my $bytes = bytes(300) . "\r\n--" . "\r\n-" x 5);
    my $answer = { sha256 => sha256_hex($bytes), size => length $bytes };
    my $connection = $server->connect;
    my $up = sub (@chunks) {
        return $connection->request(POST => '/api/v1/blobs/', token => $token, type => $type, chunks => \@chunks)->json;
    };
    is_deeply $up->(split //, $body), $answer, 'a byte in each chunk';
    my @wrong = grep { my $got = $up->(substr($body, 0, $_), substr $body, $_); ($got->{sha256} // '') ne $answer->{sha256} } 1 .. length($body) - 1;
    is_deeply \@wrong, [], 'two chunks, split anywhere';
    $connection->send(head(token => $token, type => $type, chunked => 1));
    $connection->send_slowly(chunked(unpack '(a7)*', $body), 41, 0.002);
    is_deeply $connection->response->json, $answer, 'chunks across packets';
    for my $size (262_144 - 200 .. 262_144 - 100) {
        my ($type, $body) = form(my $bytes = bytes($size));
        my $got = $connection->request(POST => '/api/v1/blobs/', token => $token, type => $type, body => $body)->json;
        is $got->{sha256} // '', sha256_hex($bytes), "$size bytes: the boundary around the end of a piece" or last;
    }
    nothing_left('pieces', $open + 1);
};

subtest 'broken off' => sub {
    my ($type, $body) = form(bytes(2_000_000));
    my @before = files();
    for my $end (qw(reset close half_close)) {
        for my $part (0, 1, 30, 150, 1000, 70_000, 262_144, 600_000, length($body) - 1) {
            for my $chunked (0, 1) {
                my $connection = $server->connect;
                my $piece      = substr $body, 0, $part;
                $connection->send(head(token => $token, type => $type, $chunked ? (chunked => 1) : (length => length $body))
                        . ($chunked && $part ? sprintf("%x\r\n%s\r\n", length $piece, $piece) : $piece));
                $connection->$end;
                is_error($connection->response, 400, 'invalid_request', "half closed after $part") if $end eq 'half_close' && $part == 1000;
            }
        }
    }
    nothing_left('broken off', $open);
    is_deeply [ sort(files()) ], [ sort @before ], 'and no blob';
};

subtest 'stalled' => sub {
    my ($type, $body) = form(bytes(500_000));
    my @stalled = map { $server->connect } 1 .. 4;
    $stalled[$_]->send(head(token => $token, type => $type, $_ % 2 ? (chunked => 1) : (length => length $body))
            . ($_ < 2 ? '' : $_ % 2 ? "ff\r\nabc" : substr $body, 0, 400_000)) for 0 .. 3;
    is_error($_->response, 408, 'request_timeout', 'a stalled upload') for @stalled;
    ok $_->is_closed, 'the connection ends' for @stalled;
    nothing_left('stalled', $open);
};

subtest 'what follows a body' => sub {
    my $get = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
    for my $size (10, 5000, 262_144, 700_000) {
        my ($type, $body) = form(my $bytes = bytes($size));
        for my $chunked (0, 1) {
            my $connection = $server->connect;
            my $upload = head(token => $token, type => $type, $chunked ? (chunked => 1) : (length => length $body))
                . ($chunked ? chunked(unpack '(a50000)*', $body) : $body);
            $connection->send(join q(), ($upload . $get) x 3);
            for my $turn (1 .. 3) {
                is is_json_answer($connection->response, "an upload of $size bytes")->{sha256}, sha256_hex($bytes), '  whole';
                is_status($connection->response, 200, '  and the request behind it');
            }
            ok $connection->is_silent, '  and no further answer';
        }
    }
};

subtest 'bytes of a body are never a request' => sub {
    my $smuggled = "GET /smuggled-request HTTP/1.1\r\nHost: x\r\n\r\n" x 20;
    my ($type, $body) = form($smuggled);
    my $wrong = multipart({ name => 'other', filename => 'a', content => 'x' });
    my $mark = $server->log_mark;
    for my $chunked (0, 1) {
        my $rest = $chunked ? chunked($body) : $body;
        my %body = (type => $type, $chunked ? (chunked => 1) : (length => length $body));
        my @case = (
            [ 200, token => $token ],
            [ 401 ],
            [ 401, token => 'b' x 64 ],
            [ 400, token => $token, type => 'text/plain' ],
            [ 400, token => $token, type => 'multipart/form-data; boundary=other' ],
        );
        for my $case (@case) {
            my ($status, @option) = @$case;
            for my $split (0, 1) {
                my $connection = $server->connect;
                my $head = head(%body, @option);
                $connection->send($split ? $head : $head . $rest);
                Verstak::Wait::pause(0.05) if $split;
                $connection->send($rest) if $split;
                is_status($connection->response, $status, "$status, " . ($chunked ? 'chunked' : 'with a length') . ($split ? ', later' : ''));
                $connection->send("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
                my $next = $connection->response;
                ok !$next || $next->status == 200, '  then the next request or the end';
                ok $connection->is_closed, '  and no more';
            }
        }
    }
    for my $target ('/api/v1/blob%73/', '/api/v1/x/../blobs/', 'http://h/api/v1/blobs/') {
        my $connection = $server->connect;
        $connection->send(Verstak::HTTP::head(POST => $target, token => $token, type => $type, length => length $body) . $body);
        is is_json_answer($connection->response, "POST $target")->{sha256}, sha256_hex($smuggled), '  is an upload, too';
        is_status($connection->request(GET => '/livez'), 200, '  and the connection goes on');
    }
    my $put = $server->connect;
    $put->send(Verstak::HTTP::head(PUT => '/api/v1/blobs/', token => $token, type => $type, length => length $body) . $body);
    is_error($put->response, 405, 'method_not_allowed', 'another method');
    is_status($put->request(GET => '/livez'), 200, '  and the connection goes on');
    my $broken = $server->connect;
    $broken->send(head(token => $token, type => $type, chunked => 1) . "5\r\nabc\r\n" . $smuggled);
    is_error($broken->response, 400, 'invalid_request', 'broken chunks');
    ok $broken->is_closed, 'end the connection';
    unlike substr($server->log_text, $mark - $server->{log_start}), qr/smuggled-request/, 'no request of a body was seen';
};

subtest 'quota, by the length' => sub {
    my $small = Verstak::Server->new(
        config => { 'server.workers' => 1, 'limits.vault_quota' => 200_000, 'limits.user_quota' => 10_000_000, 'http.max_uploads' => 3 });
    my $token = $small->new_device;
    my $connection = $small->connect;
    $connection->send(head(token => $token, type => 'multipart/form-data; boundary=b', length => 1_000_000,
            headers => [ Expect => '100-continue' ]));
    is_error($connection->response, 413, 'quota_exceeded', 'more than the quota, before the body');
    my ($type, $body) = form(my $bytes = bytes(150_000));
    is_json_answer($small->upload_response($token, $bytes), 'an upload that fits');
    is_json_answer($small->upload_response($token, $bytes), 'again: it needs no room');
    is_error($small->upload_response($token, bytes(100_000)), 413, 'quota_exceeded', 'another one does');
    is_error($small->upload_response($token, bytes(400_000)), 413, 'quota_exceeded', 'and a large one');

    my @waiting = map { $small->connect } 1 .. 3;
    my ($small_type, $small_body) = form('x' x 1000);
    my $expecting = head(token => $token, type => $small_type, length => length $small_body, headers => [ Expect => '100-continue' ]);
    for my $connection (@waiting) {
        $connection->send($expecting);
        ok wait_until(10, sub { $connection->wait_readable(time + 1); $connection->{in} =~ m{\AHTTP/1.1 100 } }), 'an upload may come';
    }
    my $more = $small->connect;
    $more->send($expecting);
    my $answer = $more->response;
    is_error($answer, 503, 'unavailable', 'more uploads at once than http.max_uploads');
    cmp_ok $answer->header('Retry-After'), '>', 0, 'with Retry-After';
    is_json_answer($small->request(POST => '/api/v1/sync/pull', token => $token, json => { since_sequence => 0 }), 'pulls go on');
    $_->send($small_body) for @waiting;
    is_json_answer($_->response, 'those that were first end well') for @waiting;
    is_json_answer($small->upload_response($token, 'y'), 'and then there is room again');
};

subtest 'many at once' => sub {
    my @bytes = map { bytes(1_500_000 + 1000 * $_) } 1 .. 20;
    my @up    = map { $server->connect } 1 .. 20;
    my @body  = map { [ form($bytes[$_]) ] } 0 .. 19;
    for my $piece (0 .. 3) {
        for my $i (0 .. 19) {
            my ($type, $body) = @{ $body[$i] };
            my $quarter = 1 + int(length($body) / 4);
            $up[$i]->send(head(token => $token, type => $type, $i % 2 ? (chunked => 1) : (length => length $body))) if $piece == 0;
            my $bytes = substr $body, $piece * $quarter, $quarter;
            $up[$i]->send($i % 2 ? sprintf("%x\r\n%s\r\n%s", length $bytes, $bytes, $piece == 3 ? "0\r\n\r\n" : '') : $bytes);
        }
    }
    is is_json_answer($up[$_]->response, "upload $_ of 20")->{sha256}, sha256_hex($bytes[$_]), '  whole' for 0 .. 19;
    $up[$_]->send_request(GET => '/api/v1/blobs/' . sha256_hex($bytes[$_]), token => $token) for 0 .. 19;
    ok $up[$_]->response->body eq $bytes[$_], "download $_ of 20" for 0 .. 19;
    undef @up;
    nothing_left('many at once', $open);
};

subtest 'a stop in the middle' => sub {
    my $leaving = Verstak::Server->new(config => { 'server.workers' => 1 });
    my $token = $leaving->new_device;
    my ($type, $body) = form(my $bytes = bytes(900_000));
    my $connection = $leaving->connect;
    $connection->send(head(token => $token, type => $type, length => length $body) . substr $body, 0, 400_000);
    ok wait_until(10, sub { temporary($leaving) == 1 }), 'an upload is under way';
    $leaving->signal('TERM');
    ok wait_until(10, sub { !eval { $leaving->connect } }), 'no new connections';
    $connection->send_slowly(substr($body, 400_000), 100_000, 0.1);
    is is_json_answer($connection->response, 'the upload ends')->{sha256}, sha256_hex($bytes), 'whole';
    ok $connection->is_closed, 'and then the connection';
    is $leaving->stop // 0, 0, 'and the server';
    is_deeply [ files($leaving) ], [ substr(sha256_hex($bytes), 0, 2) . '/' . substr(sha256_hex($bytes), 2, 2) . '/' . sha256_hex($bytes) ],
        'the blob is there';
};

subtest 'large ones, more than have threads of their own' => sub {
    my $large = Verstak::Server->new(config => { 'server.workers' => 1 });
    my $token = $large->new_device;
    $large->upload($token, bytes(1000));
    my ($worker) = $large->pids_of('worker');
    my $threads = sub { return scalar(() = glob "/proc/$worker/task/*") };
    my ($open, $before) = (descriptors($large), $threads->());
    my @blobs = map { bytes(15_000_000 + $_ * 1_048_577) } 0 .. 4;
    my @connections = map { $large->connect } @blobs;
    my @forms = map { [ form($_) ] } @blobs;
    for my $i (0 .. $#blobs) {
        my ($type, $body) = @{ $forms[$i] };
        $connections[$i]->send(head(token => $token, type => $type, length => length $body));
    }
    # By turns, so that all are under way; the third and the last break off behind 9 MB, and one stands still for a while.
    my $sent = 0;
    while ($sent < 21_000_000) {
        for my $i (0 .. $#blobs) {
            next if !$connections[$i] || $sent >= length $forms[$i][1];
            $connections[$i]->send(substr $forms[$i][1], $sent, 1_000_000);
        }
        $sent += 1_000_000;
        if ($sent == 9_000_000) {
            cmp_ok $threads->(), '>', $before, 'threads of their own' if $large->request(GET => '/livez');
            $connections[2]->reset;
            $connections[4]->close;
            $connections[2] = $connections[4] = undef;
        }
    }
    for my $i (0, 1, 3) {
        my $answer = $connections[$i]->response;
        is_json_answer($answer, "upload $i");
        my $sha256 = sha256_hex($blobs[$i]);
        is $answer->json->{sha256}, $sha256, '  has its hash';
        ok $large->request(GET => "/api/v1/blobs/$sha256", token => $token)->body eq $blobs[$i], '  and comes back byte by byte';
    }
    undef @connections;
    nothing_left('large', $open, $large);
    ok wait_until(15, sub { $threads->() <= $before }), 'no thread stays' or diag $threads->() . " of $before";
    is scalar(files($large)), 4, 'four blobs';
    $large->stop;
};

subtest 'a full disk' => sub {
    my $user = Verstak::Postgres::run_as() or plan skip_all => 'only root can mount a small file system';
    my $full = Verstak::Server->new(config => { 'server.workers' => 1 }, start => 0);
    my $blobs = $full->data . '/blobs';
    my ($uid, $gid) = (getpwnam $user)[ 2, 3 ];
    mkdir $blobs, 0700;
    my $said = qx{mount -t tmpfs -o size=6m,mode=0700,uid=$uid,gid=$gid tmpfs '$blobs' 2>&1};
    plan skip_all => "cannot mount a tmpfs: $said" if $? != 0;
    my $mounted = Verstak::Mounted->new($blobs);
    $full->start;
    my $token = $full->new_device;
    my $kept = $full->upload($token, my $bytes = bytes(3_000_000));
    my $before = descriptors($full);
    for my $turn (1 .. 5) {
        my ($type, $body) = form(bytes(5_000_000));
        my $answer = $full->request(POST => '/api/v1/blobs/', token => $token, type => $type, $turn % 2 ? (body => $body) : (chunks => [ unpack '(a100000)*', $body ]));
        is_error($answer, 503, 'unavailable', "upload $turn onto a full disk");
        cmp_ok $answer->header('Retry-After'), '>', 0, '  with Retry-After';
    }
    # The beginning of a large one finds room, and what its own threads write does not.
    qx{mount -o remount,size=14m '$blobs'};
    is $?, 0, 'a little more room';
    for my $turn (1 .. 4) {
        is_error($full->upload_response($token, bytes($turn % 2 ? 30_000_000 : 13_000_000)), 503, 'unavailable', "large upload $turn");
    }
    qx{mount -o remount,size=6m '$blobs'};
    nothing_left('full', $before, $full);
    like $full->log_text, qr/cannot store a blob: .*No space left on device/, 'the log says why';
    open my $fill, '>', "$blobs/fill" or die "cannot fill $blobs: $!\n";
    $fill->autoflush;
    while (syswrite $fill, 'x' x 4096) { }
    ok wait_until(10, sub { $full->request(GET => '/api/v1/health')->json->{blob_storage_writable} == 0 }), 'health says so';
    is_status($full->request(GET => '/readyz'), 503, 'and that it is degraded');
    is_error($full->upload_response($token, bytes(10_000)), 503, 'unavailable', 'a small upload');
    is_json_answer($full->push_response($token, [ Verstak::Server::op(entity_id => 'a') ]), 'pushes go on');
    ok $full->request(GET => "/api/v1/blobs/$kept->{sha256}", token => $token)->body eq $bytes, 'and downloads';
    CORE::close $fill;
    unlink "$blobs/fill";
    is_json_answer($full->upload_response($token, bytes(1_000_000)), 'uploads work again when there is room');
    ok wait_until(10, sub { $full->request(GET => '/api/v1/health')->json->{blob_storage_writable} }), 'health says so, too';
    nothing_left('room again', $before, $full);
    $full->stop;
};

# Takes the file system away before the directory goes.
package Verstak::Mounted {
    sub new ($class, $path) { return bless { path => $path, owner => $$ }, $class }

    sub DESTROY ($self) {
        return if $self->{owner} != $$;
        local ($?, $!);
        system 'umount', '-l', $self->{path};
        return;
    }
}

done_testing;
