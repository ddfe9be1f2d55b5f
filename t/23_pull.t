# Pull: pages in order, bounded in operations and in bytes.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Verstak::Contract;
use Verstak::Server;

my $server = Verstak::Server->new(config => { 'limits.pull_operations' => 7, 'limits.pull_bytes' => '64KiB' });
my ($name, $password) = $server->create_user;

sub op { goto &Verstak::Server::op }

sub pull ($token, $since, %field) {
    return $server->request(POST => '/api/v1/sync/pull', token => $token, json => { since_sequence => $since, %field });
}

subtest 'an empty vault' => sub {
    my $token = $server->pair($name, $password, vault_id => 'empty');
    for my $since (0, 5, 9223372036854775807) {
        my $response = pull($token, $since);
        my $answer   = is_json_answer($response, "pull since $since");
        has_types($answer,
            { has_more => 'boolean', ops => 'array', page_last_sequence => 'number', server_sequence => 'number' },
            'its fields');
        is_deeply $answer->{ops}, [], 'no operation';
        ok !$answer->{has_more}, 'no more';
        is $answer->{server_sequence}, 0, 'server_sequence 0';
        like $response->body, qr/"page_last_sequence":\s*$since\b/, 'page_last_sequence is since_sequence';
    }
};

my $device = $server->pair_device($name, $password, vault_id => 'pages');
my $other  = $server->pair_device($name, $password, vault_id => 'pages');
my $token  = $device->{device_token};
my @pushed = map { op(entity_id => "n$_.md", payload_json => qq({"n":$_}), created_at => "whenever $_") } 1 .. 20;
$server->push($token,                 @pushed[ 0 .. 9 ]);
$server->push($other->{device_token}, @pushed[ 10 .. 19 ]);

sub check_page ($since, $limit, $want, %field) {
    my $answer = is_json_answer(pull($token, $since, %field), "since $since, limit " . ($field{page_limit} // 'none'));
    my @want   = grep { $_ > $since } 1 .. 20;
    my $more   = @want > $limit;
    splice @want, $limit if $more;
    is_deeply [ map { $_->{server_sequence} } @{ $answer->{ops} } ], \@want, '  the sequences';
    is $answer->{has_more} ? 1 : 0, $more ? 1 : 0, '  has_more';
    is $answer->{page_last_sequence}, @want ? $want[-1] : $since, '  page_last_sequence';
    is $answer->{server_sequence}, 20, '  server_sequence';
    return $answer;
}

subtest 'one operation' => sub {
    my $got   = check_page(0, 1, undef, page_limit => 1)->{ops}[0];
    my @texts = qw(op_id device_id entity_type entity_id op_type payload_json created_at);
    has_types($got, { server_sequence => 'number', map { $_ => 'string' } @texts }, 'its fields');
    is $got->{$_},        $pushed[0]{$_},       $_ for qw(op_id entity_type entity_id op_type payload_json created_at);
    is $got->{device_id}, $device->{device_id}, 'device_id is the pusher';
    is check_page(10, 1, undef, page_limit => 1)->{ops}[0]{device_id}, $other->{device_id}, 'of the other device, too';
};

subtest 'pages' => sub {
    check_page($_, 7, undef) for 0, 1, 6, 12, 13, 14, 19, 20, 21, 1000;
    check_page($_->[0], $_->[1], undef, page_limit => $_->[1])
        for [ 0, 1 ], [ 0, 2 ], [ 3, 5 ], [ 13, 7 ], [ 14, 6 ], [ 19, 1 ];
    check_page(0, 7, undef, page_limit => $_) for 0, undef, 7, 8, 100, 1_000_000, 2147483648, 9223372036854775807;
    for my $limit (1, 3, 7, 0) {
        my @all = $server->pull_all($token, 0, page_limit => $limit);
        is_deeply [ map { $_->{op_id} } @all ], [ map { $_->{op_id} } @pushed ], "all of it in pages of $limit";
    }
};

subtest 'fields' => sub {
    my $raw = sub ($body) { $server->request(POST => '/api/v1/sync/pull', token => $token, body => $body) };
    is_error($raw->(qq({"since_sequence":$_})), 400, 'invalid_request', "since_sequence $_")
        for '"0"', '1.5', '[]', '{}', 'true', '9223372036854775808', '-9223372036854775809', '1e99', '-1';
    is_error($raw->(qq({"since_sequence":0,"page_limit":$_})), 400, 'invalid_request', "page_limit $_")
        for '"1"', '1.5', '[]', '{}', 'true', '9223372036854775808', '-1';
    is_json_answer($raw->('{"since_sequence":0,"page_limit":null,"vault_id":"other","device_id":"x"}'),
        'unknown fields');
};

subtest 'bytes' => sub {
    my $vault   = $server->pair($name, $password, vault_id => 'bytes');
    my $payload = sub ($size) { '"' . 'x' x ($size - 2) . '"' };
    $server->push($vault, map { op(payload_json => $payload->($_)) } 30_000,
        30_000, 30_000, 200_000, 10, 10, 60_000, 10_000);
    my (@pages, @all);
    my $since = 0;
    while (1) {
        my $page = $server->pull($vault, $since);
        push @pages, [ map { length $_->{payload_json} } @{ $page->{ops} } ];
        push @all,   map { $_->{server_sequence} } @{ $page->{ops} };
        last if !@{ $page->{ops} };
        is $page->{page_last_sequence}, $all[-1],             'page_last_sequence is of the last one';
        is $page->{has_more} ? 1 : 0,   $all[-1] < 8 ? 1 : 0, 'has_more';
        $since = $page->{page_last_sequence};
    }
    pop @pages;
    is_deeply \@all, [ 1 .. 8 ], 'every operation once, in order';
    for my $page (@pages) {
        my $sum = 0;
        $sum += $_ for @$page;
        ok @$page == 1 || $sum <= 65536, "a page of @$page bytes keeps the bound or holds one operation";
    }
    cmp_ok scalar @pages, '<', 8, 'a page holds more than one where they fit';
    is_deeply [ grep { @$_ == 1 && $_->[0] == 200_000 } @pages ], [ [200_000] ],
        'one greater than the bound comes alone';
};

# Every text that a client may make long counts, not the payload alone.
subtest 'bytes of created_at' => sub {
    my $vault = $server->pair($name, $password, vault_id => 'dates');
    $server->push($vault, map { op(created_at => 'x' x 40_000) } 1 .. 3);
    my $page = $server->pull($vault, 0);
    is scalar @{ $page->{ops} }, 1, 'two of 40,000 bytes do not go on a page of 64 KiB';
    ok $page->{has_more}, 'has_more';
    is_deeply [ map { length $_->{created_at} } $server->pull_all($vault) ], [ (40_000) x 3 ], 'all of them come';
};

subtest 'new operations show at once and at the end' => sub {
    my $vault = $server->pair($name, $password, vault_id => 'tail');
    my $since = 0;
    for my $round (1 .. 20) {
        $server->push($vault, my $op = op());
        my $page = $server->pull($vault, $since);
        is_deeply [ map { $_->{op_id} } @{ $page->{ops} } ], [ $op->{op_id} ], "round $round";
        is $page->{server_sequence}, $round, 'server_sequence';
        $since = $page->{page_last_sequence};
    }
};

done_testing;
