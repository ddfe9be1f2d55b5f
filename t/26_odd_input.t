# What no good client sends: the answer is the contract's error, never a 5xx, and no process dies of it.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Test::More;
use Verstak::Contract;
use Verstak::HTTP      qw(chunked encode_json);
use Verstak::People;
use Verstak::Processes qw(alive);
use Verstak::Server;

my $server = Verstak::Server->new;
my ($name, $password) = $server->create_user;
my $token   = $server->pair($name, $password);
my @workers = $server->pids_of('worker');
is scalar @workers, 2, 'two workers';

my %path = (
    pair   => '/api/client/pair',
    test   => '/api/auth/test',
    push   => '/api/v1/sync/push',
    pull   => '/api/v1/sync/pull',
    revoke => '/api/client/revoke-device',
    register => '/api/v1/auth/register',
    confirm  => '/api/v1/auth/confirm',
    login    => '/api/v1/auth/login',
    forgot   => '/api/v1/auth/forgot',
    reset    => '/api/v1/auth/reset',
    password => '/api/v1/user/password',
    email    => '/api/v1/user/email',
);
my $session = Verstak::People->new($server)->session({ username => $name, password => $password })->{token};

sub token_of ($what) { return $path{$what} =~ m{/user/} ? $session : $token }

# One request with a body of raw bytes to the path that $what names.
sub post ($what, $body, %option) {
    return $server->request(POST => $path{$what}, token => token_of($what), body => $body, %option);
}

# The answer is a 400 with one of the codes.
sub is_refused ($response, $codes, $what) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $code  = $response ? $response->code : '';
    my ($one) = grep { $_ eq $code } split / /, $codes;
    return is_error($response, 400, $one // (split / /, $codes)[0], $what);
}

# What is tested of an answer that the contract leaves open: an error of the client's, or 200; in the contract's form.
sub is_no_fault ($response, $what) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return ok 0, "$what: no answer" if !$response;
    return ok 1, "$what: 200" if $response->status == 200 && ref $response->json eq 'HASH';
    my $fine = $response->status >= 400 && $response->status < 500 && $response->code =~ /\A[a-z_]+\z/;
    return ok($fine, "$what: a refusal") || diag $response->describe;
}

sub show ($bytes) {
    $bytes = substr($bytes, 0, 40) . '…(' . length($bytes) . ')' if length $bytes > 50;
    return $bytes =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ger;
}

my $op   = encode_json(Verstak::Server::op());
my %good = (
    pair   => encode_json({ login    => $name, password => $password }),
    test   => encode_json({ username => $name, password => $password }),
    push   => '{"ops":[]}',
    pull   => '{"since_sequence":0}',
    revoke => encode_json({ device_id => 'dev_x', password => $password }),
    register => encode_json({ username => 'odd', email => 'odd@example.org', password => 'long enough' }),
    confirm  => encode_json({ token => 'ab' x 32 }),
    login    => encode_json({ username => $name, password => $password }),
    forgot   => encode_json({ email => 'odd@example.org' }),
    reset    => encode_json({ token    => 'ab' x 32,  new_password => 'long enough' }),
    password => encode_json({ password => 'not this', new_password => 'long enough' }),
    email    => encode_json({ password => 'not this', email => 'odd@example.org' }),
);

subtest 'bodies that are no JSON' => sub {
    for my $what (sort keys %path) {
        is_refused(post($what, $_), 'invalid_json', "$what: " . show($_))
            for '', ' ', '{', '}', '{"', '{"a', '{"a"', '{"a":', '{"a":1', '{"a":1,', '{"a":1,}', '{a:1}', "{'a':1}",
            '{"a":01}',
            '{"a":+1}',      '{"a":.5}', '{"a":1.}', '{"a":0x1}', '{"a":NaN}', '{"a":Infinity}', '{"a":-}', '{"a":tru}',
            '{"a":TRUE}',    '{"a" 1}',
            '{"a":1 "b":2}', '{"a":1;}', '{/* c */"a":1}', "{\"a\":\"\t\"}", "{\"a\":\"\n\"}", '{"a":"\\x41"}',
            '{"a":"\\u12"}', '{"a":"\\u12g4"}', '{"a":"\\"}', 'nonsense', '<xml/>', 'login=a&password=b', "\0",
            "{\"a\":\"\0\"}",
            "\xff\xfe{\0}\0", '{1:2}', '{null:1}', '{"a":[1,2}', '{"a":{"b":1]}';
        is_refused(post($what, undef), 'invalid_json',                 "$what: no body");
        is_refused(post($what, $_),    'invalid_json invalid_request', "$what: " . show($_))
            for '[]', '1', '"x"', 'true', 'null', '[{}]', '-1.5e3';
    }
};

subtest 'a second value' => sub {
    for my $what (sort keys %path) {
        is_refused(post($what, "$good{$what}$_"), 'trailing_json', "$what: " . show($_))
            for '{}', ' {}', "\n\n[]", ' 1', '"x"', ' null', $good{$what};
        is_refused(post($what, "$good{$what}$_"), 'trailing_json invalid_json', "$what: " . show($_))
            for 'x', '}', ',', ']', ' ;', "\0", '//', ' // c', '/* */';
        is_no_fault(post($what, " \t\r\n$good{$what} \t\r\n"), "$what: white space around");
    }
    is_json_answer(post(pull => " \t\r\n$good{pull} \t\r\n"), 'white space around a value');
};

subtest 'text that is not UTF-8' => sub {
    my @broken = (
        "\xff",             "\x80",             "\xc0\x80",     "\xc1\xbf",
        "\xe0\x80\x80",     "\xed\xa0\x80",     "\xed\xbf\xbf", "\xf0\x80\x80\x80",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xc3",         "\xe2\x82",
        "\xf0\x9f\x92",     "\xc3(",            "\xe2\x28\xa1", "\xf8\x88\x80\x80\x80"
    );
    for my $broken (@broken) {
        my $shown = show($broken);
        is_refused(post(pair => qq({"login":"a${broken}b","password":"x"})), 'invalid_json', "in a login: $shown");
        is_refused(post(pull => qq({"since_sequence":0,"x":"$broken"})), 'invalid_json', "in an unknown field: $shown");
        is_refused(post(pull => qq({"since_sequence":0,"$broken":1})),   'invalid_json', "in a name: $shown");
        is_refused(post(push => '{"ops":[' . $op =~ s/Notes/$broken/r . ']}'),
            'invalid_json', "in an entity_id: $shown");
        is_refused(post(push => '{"ops":[' . $op =~ s/"payload_json":""/"payload_json":"\\"$broken\\""/r . ']}'),
            'invalid_json', "in a payload: $shown");
    }
};

subtest 'U+0000 and lone surrogates' => sub {
    my @lone =
        ('\\u0000', '\\ud800', '\\udc00', '\\ud800x', '\\ud800\\ud800', '\\udc00\\ud800', '\\udfff', 'a\\u0000b');
    for my $lone (@lone) {
        for my $field (qw(login password device_name client_version vault_id)) {
            my %body     = (login => $name, password => $password, $field => 'HERE');
            my $response = post(pair => encode_json(\%body) =~ s/HERE/$lone/r);
            ok $response->status == 400 || $response->status == 401 && $field =~ /login|password/,
                "pair, $field $lone: refused"
                or diag $response->describe;
        }
        for my $field ([ register => qw(username email password) ], [ login => qw(username password) ], [ forgot => 'email' ],
            [ confirm => 'token' ], [ reset => qw(token new_password) ], [ password => qw(password new_password) ], [ email => qw(password email) ])
        {
            my ($what, @name) = @$field;
            for my $name (@name) {
                my $body = encode_json({ %{ JSON::PP::decode_json($good{$what}) }, $name => 'HERE and more' }) =~ s/HERE/$lone/r;
                is_refused(post($what, $body), 'invalid_json invalid_request', "$what, $name $lone");
            }
        }
        for my $field (qw(op_id entity_type entity_id op_type payload_json created_at)) {
            my $body = encode_json({ ops => [ Verstak::Server::op($field => 'HERE') ] }) =~ s/HERE/$lone/r;
            is_refused(
                post(push => $body),
                'invalid_json invalid_request invalid_operation invalid_payload',
                "push, $field $lone"
            );
        }
        is_refused(
            post(push => qq({"ops":[],"idempotency_key":"$lone"})),
            'invalid_json invalid_request',
            "idempotency_key $lone"
        );
        is_refused(
            post(revoke => qq({"device_id":"$lone","password":"x"})),
            'invalid_json invalid_request',
            "device_id $lone"
        ) if post(revoke => qq({"device_id":"$lone","password":"x"}))->status != 403;
        is_no_fault(post(pull => qq({"since_sequence":0,"$lone":"$lone"})), "unknown field $lone");
    }
    is scalar $server->pull_all($token), 0, 'nothing is stored';
    my $pair =
        post(push => encode_json({ ops => [ Verstak::Server::op(entity_id => 'HERE') ] }) =~ s/HERE/\\ud83d\\udcbe/r);
    is_json_answer($pair, 'a pair of surrogates is one character');
    is + ($server->pull_all($token))[0]{entity_id}, "\x{1f4be}", 'and comes back as it';
};

subtest 'depth' => sub {
    for my $depth (100, 1000, 10_000, 30_000) {
        my %nest = (
            arrays  => [ '[' x $depth,           ']' x $depth ],
            objects => [ '{"a":' x $depth . '1', '}' x $depth ],
        );
        for my $kind (sort keys %nest) {
            my ($open, $close) = @{ $nest{$kind} };
            next if length $open . $close > 60_000 && $depth > 10_000;
            for my $what (sort keys %path) {
                my $body = $good{$what} =~ s/\}\z//r;
                is_no_fault(post($what, "$body,\"x\":$open$close}"), "$what: $depth $kind in an unknown field")
                    if length $open . $close < 65_000;
                is_refused(post($what, "$body,\"x\":$open"), 'invalid_json', "$what: $depth $kind left open")
                    if length $open < 65_000;
            }
            is_refused(
                post(push => qq({"ops":$open$close})),
                'invalid_json invalid_request invalid_operation',
                "$depth $kind as ops"
            );
            my $payload = post(push => encode_json({ ops => [ Verstak::Server::op(payload_json => "$open$close") ] }));
            ok $payload->status == 200 || $payload->status == 400 && $payload->code eq 'invalid_payload',
                "$depth $kind as payload"
                or diag $payload->describe;
            my $file = post(
                push => encode_json(
                    { ops => [ Verstak::Server::op(entity_type => 'file', payload_json => "{\"blob\":$open$close}") ] }
                )
            );
            is_refused($file, 'invalid_payload invalid_blob_reference', "$depth $kind as blob");
        }
    }
};

subtest 'numbers' => sub {
    for my $number (
        '1e400', '-1e400', '1e-400', '9' x 400,
        '9' x 30_000,
        '0.' . '3' x 20_000,
        '1e99999999999999999999', '-0', '1E5', '0e0'
        )
    {
        is_no_fault(post(pull => qq({"since_sequence":0,"x":$number})), 'in an unknown field: ' . show($number));
        is_no_fault(post(pull => qq({"since_sequence":$number})),       'since_sequence ' . show($number));
        is_no_fault(post(push => '{"ops":[' . $op =~ s/"client_sequence":0/"client_sequence":$number/r . ']}'),
            'client_sequence ' . show($number));
    }
};

subtest 'names' => sub {
    is_no_fault(post(pull => '{"since_sequence":0,"since_sequence":1}'),       'a repeated field');
    is_no_fault(post(pull => '{"since_sequence":"x","since_sequence":1}'),     'a repeated field of another type');
    is_no_fault(post(pull => '{"since_sequence":0,"":1}'),                     'an empty name');
    is_no_fault(post(pull => '{"since_sequence":0,"' . 'n' x 60_000 . '":1}'), 'a name of 60,000 bytes');
    is_no_fault(post(pull => '{"since_sequence":0' . join('', map { ",\"f$_\":$_" } 1 .. 5000) . '}'), '5000 fields');
    is_no_fault(post(pull => '{"since_sequence":0,"__proto__":{"x":1},"constructor":1}'), 'names of another language');
    is_no_fault(post(pull => "\xef\xbb\xbf$good{pull}"),                                  'a byte order mark');
};

subtest 'bodies that are too large' => sub {
    for my $what (grep { $_ ne 'push' } sort keys %path) {
        my $body = $good{$what} =~ s/\}\z/',"x":"' . 'x' x (65 * 1024) . '"}'/er;
        is_error(post($what, $body), 413, 'request_too_large', "$what: 65 KiB");
        is_error(post($what, undef, chunks => [ unpack '(a1000)*', $body ]),
            413, 'request_too_large', "$what: 65 KiB chunked");
        my $connection = $server->connect;
        $connection->send(Verstak::HTTP::head(POST => $path{$what}, token => token_of($what), length => '9' x 15));
        is_error($connection->response, 413, 'request_too_large', "$what: a Content-Length of 999999999999999");
    }
    is_error($server->request($_->[0] => $_->[1], token => $token, body => 'x' x (70 * 1024)),
        413, 'request_too_large', "$_->[0] $_->[1] with 70 KiB")
        for [ GET => '/api/client/me' ], [ POST => '/api/client/revoke-current' ], [ GET => '/livez' ];
    is_json_answer($server->request(GET => '/api/client/me', token => $token, body => 'ignored'),
        'a body where none is needed is ignored');
};

subtest 'broken pieces of good requests' => sub {
    srand 20_261_122;
    my @seed = (
        [
            push => encode_json(
                {
                    ops             => [ map { Verstak::Server::op(payload_json => '{"a":[1,"é"]}') } 1 .. 2 ],
                    idempotency_key => 'k'
                }
            )
        ],
        [
            push => '{"ops":[' . $op =~ s/note/file/r =~
                s/"payload_json":""/"payload_json":"{\\"blob\\":{\\"sha256\\":\\"x\\",\\"size\\":1}}"/r . ']}'
        ],
        [ pull   => '{"since_sequence":0,"page_limit":5}' ],
        [ pair   => $good{pair} ],
        [ revoke => $good{revoke} ],
        map { [ $_ => $good{$_} ] } qw(register confirm login forgot reset password email),
    );
    my @piece = (
        '"',    '{', '}',     '[',  ']',    ',',        ':', '\\', '\\u', '\\ud800',
        'null', '-', '1e999', "\0", "\xff", "\xc3\xa9", ' ', '0'
    );
    my $connection = $server->connect;
    my %seen;
    for my $round (1 .. 1000) {
        my ($what, $body) = @{ $seed[ rand @seed ] };
        for (0 .. rand 3) {
            my $at = int rand length $body;
            if    (rand() < 0.4) { substr $body, $at, int rand 4,  $piece[ rand @piece ] }
            elsif (rand() < 0.5) { substr $body, $at, int rand 20, '' }
            else                 { substr $body, $at, 0, substr $body, int rand length $body, int rand 30 }
        }
        my $response = $connection->request(POST => $path{$what}, token => token_of($what), body => $body);
        if (!$response || $response->status >= 500 || ref $response->json ne 'HASH') {
            fail "round $round: " . show($body);
            diag $response ? $response->describe : 'no answer';
            $connection = $server->connect;
        } else {
            $seen{ $response->status }++;
        }
    }
    note join ', ', map { "$_: $seen{$_}" } sort keys %seen;
    cmp_ok $seen{400} // 0, '>', 100, 'many were refused';
};

subtest 'nothing died' => sub {
    is_deeply [ $server->pids_of('worker') ], \@workers, 'the workers are the same';
    unlike $server->log_text, qr/\berror\b.*(?:sqlstate|internal)/i, 'no error of the server in the log';
    is_json_answer(post(pull => $good{pull}), 'and the server answers');
};

done_testing;
