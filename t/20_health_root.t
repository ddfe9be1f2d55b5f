# Health, livez, readyz and / as the contract says, and paths and methods that are none.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::Local qw(timegm);
use Verstak::Contract;
use Verstak::HTTP;
use Verstak::Postgres;
use Verstak::Server;
use Verstak::Wait qw(wait_for);

my $pg     = Verstak::Postgres->new;
my $server = Verstak::Server->new(postgres => $pg);
my $time   = qr/\A(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z\z/a;

sub epoch ($text) {
    my ($year, $month, $day, $hour, $minute, $second) = $text =~ $time or return 0;
    return timegm($second, $minute, $hour, $day, $month - 1, $year);
}

subtest 'health' => sub {
    for my $path ('/api/v1/health', '/readyz') {
        my $response = $server->request(GET => $path);
        my $health   = is_json_answer($response, $path);
        has_types(
            $health,
            {
                status                => 'string',
                version               => 'string',
                build_commit          => 'string',
                uptime_seconds        => 'number',
                database_reachable    => 'boolean',
                blob_storage_writable => 'boolean',
                schema_version        => 'number',
                server_time           => 'string',
                time                  => 'string',
            },
            "$path has all fields"
        );
        is $health->{status}, 'ok', "$path says ok";
        ok $health->{database_reachable},    "$path: the database is reachable";
        ok $health->{blob_storage_writable}, "$path: the blob storage is writable";
        cmp_ok $health->{schema_version}, '>', 0, "$path: the schema has a version";
        like $health->{$_}, $time, "$path: $_ is RFC 3339 with seconds and Z" for qw(server_time time);
        cmp_ok abs(epoch($health->{server_time}) - time), '<', 10, "$path: server_time is now";
        unlike $response->body, qr{\Q${\ $server->base}\E|postgres(?:ql)?://|/run\b},
            "$path tells no path and no address";
    }
    my $first = $server->request(GET => '/api/v1/health')->json->{uptime_seconds};
    ok wait_for('the uptime to grow',
        10, sub { $server->request(GET => '/api/v1/health')->json->{uptime_seconds} > $first }),
        'the uptime grows';
};

subtest 'livez' => sub {
    is_status($server->request(GET => '/livez'), 200, 'livez');
};

subtest 'credentials are ignored where none are needed' => sub {
    for my $path ('/api/v1/health', '/readyz', '/livez', '/') {
        is_status($server->request(GET => $path, headers => [ Authorization => $_ ]), 200, "$path with '$_'")
            for 'Bearer ', 'Bearer xyz', 'Basic Zm9vOmJhcg==', 'Bearer ' . 'a' x 64;
    }
};

subtest 'HEAD' => sub {
    for my $path ('/api/v1/health', '/livez', '/readyz', '/') {
        my $connection = $server->connect;
        my $response   = $connection->request(HEAD => $path);
        is_status($response, 200, "HEAD $path");
        cmp_ok $response->header('Content-Length') // 0, '>', 0, "HEAD $path tells the length";
        is_status($connection->request(GET => '/livez'), 200, "the connection is in step after HEAD $path");
    }
};

subtest 'root' => sub {
    my $plain = $server->request(GET => '/');
    is_status($plain, 200, '/ for a program');
    like $plain->body, qr/\AVerstak Sync Server\s*\z/, '/ greets a program';
    my $page = $server->request(GET => '/', headers => [ Accept => 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.8' ]);
    is_status($page, 200, '/ for a browser');
    like $page->header('Content-Type'), qr{\Atext/html\b},    '/ gives a browser a page';
    like $page->body,                   qr/<html.*Verstak/is, 'the page says what it is';
};

subtest 'headers of every answer' => sub {
    my %id;
    for my $path ('/', '/api/v1/health', '/nowhere', '/api/client/me') {
        my $response = $server->request(GET => $path);
        is $response->header('X-Content-Type-Options'), 'nosniff', "$path: nosniff";
        like $response->header('X-Request-Id') // '', qr/\A[0-9a-f]{16}\z/, "$path: a request id";
        ok !$id{ $response->header('X-Request-Id') }++, "$path: an id of its own";
        like $response->header('Content-Length') // '', qr/\A\d+\z/, "$path: Content-Length";
        unlike join(' ', $response->header('Server')),  qr/\d/,      "$path: tells no version";
    }
};

subtest 'paths that are none' => sub {
    is_error($server->request(GET => $_), 404, 'not_found', "GET $_")
        for '/nowhere', '/api', '/api/', '/api/v1', '/API/V1/HEALTH', '/api/v1/health/x', '/api/v1/sync',
        '//api/v1/health',
        '/api/v1/health%00', '/%ff', '/..%2f..%2fetc/passwd', '/livezz';
    is_error($server->request(POST => '/nowhere', json => {}), 404, 'not_found', 'POST /nowhere');
    my $response = $server->request(HEAD => '/nowhere');
    is_status($response, 404, 'HEAD /nowhere');
};

subtest 'a query changes nothing' => sub {
    is_status($server->request(GET => "/api/v1/health?$_"), 200, "?$_")
        for '', 'a=b', 'a=%00', '%', '????', 'x=' . 'y' x 500;
};

subtest 'methods that are none' => sub {
    my %allowed = (
        '/api/v1/health'    => 'GET',
        '/livez'            => 'GET',
        '/'                 => 'GET',
        '/api/client/pair'  => 'POST',
        '/api/v1/sync/push' => 'POST',
        '/api/v1/sync/pull' => 'POST',
        '/api/client/me'    => 'GET'
    );
    for my $path (sort keys %allowed) {
        for my $method (qw(DELETE PUT PATCH get FOO), $allowed{$path} eq 'GET' ? 'POST' : 'GET') {
            my $response = $server->request($method => $path);
            is_error($response, 405, 'method_not_allowed', "$method $path");
            like $response->header('Allow'), qr/\b$allowed{$path}\b/, "$method $path: Allow names $allowed{$path}";
        }
    }
};

subtest 'the database goes and comes' => sub {
    $pg->stop('immediate');
    my $response = wait_for('health to notice',
        15, sub { my $r = $server->request(GET => '/api/v1/health'); $r->status == 503 ? $r : undef });
    is $response->json->{status}, 'degraded', 'health is degraded without a database';
    ok !$response->json->{database_reachable}, 'and says why';
    is_status($server->request(GET => '/readyz'), 503, 'readyz');
    is_status($server->request(GET => '/livez'),  200, 'livez says that the process answers');
    $pg->start;
    ok wait_for('health to recover', 30, sub { $server->request(GET => '/api/v1/health')->status == 200 }),
        'it recovers';
};

SKIP: {
    skip 'the server runs as root', 1 if !$> && !Verstak::Postgres::run_as();
    subtest 'the blob storage is not writable' => sub {
        my @directories = split /\n/, qx{find '${\ $server->data}/blobs' -type d};
        cmp_ok scalar @directories, '>', 0, 'there is a blob storage';
        chmod 0500, @directories;
        my $response = wait_for('health to notice',
            15,
            sub { my $r = $server->request(GET => '/api/v1/health'); $r->json->{blob_storage_writable} ? undef : $r });
        is $response->status,         503,        'health says so';
        is $response->json->{status}, 'degraded', 'and is degraded';
        chmod 0700, @directories;
        ok wait_for('health to recover', 15, sub { $server->request(GET => '/api/v1/health')->status == 200 }),
            'it recovers';
    };
}

done_testing;
