# Push: what is accepted, every limit, the blob rule, repetition, idempotency keys, conflicts.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA qw(sha256_hex);
use JSON::PP    ();
use Test::More;
use Verstak::Contract;
use Verstak::HTTP qw(encode_json);
use Verstak::Server;

my $server = Verstak::Server->new;
my ($name, $password) = $server->create_user;
my $vault_number = 0;

sub op { goto &Verstak::Server::op }

# Tokens of $count devices of a new vault.
sub vault ($count = 1) {
    my $vault_id = 'vault ' . ++$vault_number;
    my @token    = map { $server->pair($name, $password, vault_id => $vault_id) } 1 .. $count;
    return wantarray ? @token : $token[0];
}

sub push_raw ($token, $body, %option) {
    return $server->request(POST => '/api/v1/sync/push', token => $token, body => $body, %option);
}

sub stored ($token) {
    return [ map { $_->{op_id} } $server->pull_all($token) ];
}

subtest 'operations are stored in order' => sub {
    my $token  = vault();
    my @batch  = map { op(entity_id => "n$_.md") } 1 .. 5;
    my $answer = is_json_answer($server->push_response($token, \@batch), 'push');
    has_types($answer, { accepted => 'array', count => 'number', conflicts => 'array' }, 'its fields');
    is_deeply $answer->{accepted},  [ map { $_->{op_id} } @batch ], 'accepted in the order of the push';
    is_deeply $answer->{conflicts}, [],                             'conflicts is an empty array';
    is $answer->{count}, 5, 'count';
    my @got = $server->pull_all($token);
    is_deeply [ map { $_->{op_id} } @got ],           $answer->{accepted}, 'stored in this order';
    is_deeply [ map { $_->{server_sequence} } @got ], [ 1 .. 5 ],          'gapless from 1';
    my $empty = is_json_answer($server->push_response($token, []), 'push of nothing');
    is_deeply $empty, { accepted => [], count => 0, conflicts => [] }, 'accepts nothing, with arrays';
};

subtest 'texts come back byte for byte' => sub {
    my $token = vault();
    my @text  = (
        ' blank at both ends ',                 "tab\tline\nreturn\r",
        'ünïcödé Кириллица 漢字 💾 e' . "\x{301}", "\x{fffe}\x{ffff}\x{10ffff}",
        "\x{2028}\x{7f}\x{1}\x{1f}",            q(quote " back \\ slash / ' $$ %s {} <>&),
        '\u0041 \n',                            "\x{feff}bom",
    );
    my @batch =
        map { op(entity_type => 'note', entity_id => $_, payload_json => encode_text({ t => $_ }), created_at => $_) }
        @text;
    $_->{op_id} .= " $text[0]$text[2]" for @batch[ 0, 1 ];
    $batch[1]{op_type}     = "ä\t";
    $batch[1]{entity_type} = "\x{1f4be} type ";
    is_json_answer($server->push_response($token, \@batch), 'push');
    my @got = $server->pull_all($token);

    for my $i (0 .. $#batch) {
        is $got[$i]{$_}, $batch[$i]{$_}, "$_ of operation $i"
            for qw(op_id entity_type entity_id op_type payload_json created_at);
    }
};

# What a test's name can show.
sub show ($text) {
    return "'" . substr($text, 0, 40) =~ s/\n/\\n/gr =~ s/\t/\\t/gr . "'";
}

# A character string of JSON, as a client puts it into payload_json.
sub encode_text ($value) {
    return JSON::PP->new->canonical->allow_nonref->encode($value);
}

subtest 'payloads' => sub {
    my $token = vault();
    my @good  = (
        '',                              '{}',
        '[]',                            'null',
        'true',                          '0',
        '-1.5e+300',                     '"x"',
        " {\"a\" : 1}\n",                '{"a":1,"a":2}',
        '1e400',                         '-0',
        '12345678901234567890123456789', '"\\ud800"',
        '"\\u0000"',                     '{"\\u0000":"\\ud83d\\udcbe"}',
        '"\\/"',                         '"ж💾"',
        '[' x 100 . ']' x 100,           '{"a":' x 50 . '1' . '}' x 50,
        '{"blob":null}',                 '{"blob":"not a file"}',
        '{"dataBase64":"AA=="}',
    );
    my @batch = map { op(payload_json => $_) } @good;
    is_json_answer($server->push_response($token, \@batch), 'push');
    my @got = $server->pull_all($token);
    is $got[$_]{payload_json}, $good[$_], 'payload ' . show($good[$_]) . ' is kept' for 0 .. $#good;
    for my $bad (
        '{',      'nope',     '{"a":1} x', '{} {}',      '[1,]',     '{"a":}', "{'a':1}", '{a:1}',
        'NaN',    'Infinity', '01',        '1.',         '.5',       '+1',     '"\\x41"', '"\\u12"',
        "\"\t\"", ' ',        "\n",        '{"a":1,}',   '/**/1',    'True',   '"abc',    '[',
        ']',      '-',        '1e',        "\x{feff}{}", '"a" // b', '0x10',
        )
    {
        is_error($server->push_response($token, [ op(payload_json => $bad) ]),
            400, 'invalid_payload', 'payload ' . show($bad));
    }
    is scalar @{ stored($token) }, scalar @good, 'nothing of these is stored';
};

subtest 'limits' => sub {
    my $token = vault();
    my $push  = sub (%field) { $server->push_response($token, [ op(%field) ]) };
    is_json_answer($server->push_response($token, [ map { op() } 1 .. 100 ]), '100 operations');
    is_error($server->push_response($token, [ map { op() } 1 .. 101 ]), 413, 'too_many_operations', '101 operations');
    my %limit = (op_id => 128, entity_type => 64, entity_id => 4096, op_type => 64);
    for my $field (sort keys %limit) {
        is_json_answer($push->($field => 'x' x $limit{$field}), "$field of $limit{$field} bytes");
        is_json_answer($push->($field => 'ж' x ($limit{$field} / 2)),
            "$field of $limit{$field} bytes in two-byte letters");
        is_error($push->($field => 'x' x ($limit{$field} + 1)), 400, 'field_too_long', "$field of one byte more");
        is_error($push->($field => 'x' . 'ж' x ($limit{$field} / 2)),
            400, 'field_too_long', "$field of one byte more, in letters");
    }
    is_json_answer($server->push_response($token, [ op() ], idempotency_key => 'k' x 128),
        'idempotency_key of 128 bytes');
    is_error($server->push_response($token, [ op() ], idempotency_key => 'k' x 129),
        400, 'field_too_long', 'of 129 bytes');

    my $quoted = sub ($length) { '"' . 'p' x ($length - 2) . '"' };
    is_json_answer($push->(payload_json => $quoted->(256 * 1024)), 'payload of 256 KiB');
    is_error($push->(payload_json => $quoted->(256 * 1024 + 1)), 413, 'payload_too_large', 'payload of one byte more');
    is_json_answer($push->(payload_json => '"' . '\\n' x (128 * 1024 - 1) . '"'),
        'payload of 256 KiB that JSON writes longer');

    my $fill = sub ($size) {
        my $bare = encode_json({ ops => [ my $op = op() ], pad => '' });
        encode_json({ ops => [$op], pad => 'p' x ($size - length $bare) });
    };
    is length $fill->(5000), 5000, 'the test makes bodies of the size it wants';
    my $limit = 2 * 1024 * 1024;
    is_json_answer(push_raw($token, $fill->($limit)), 'a body of 2 MiB');
    is_error(push_raw($token, $fill->($limit + 1)), 413, 'request_too_large', 'a body of one byte more');
    is_error(push_raw($token, $fill->(2 * $limit)), 413, 'request_too_large', 'a body of 4 MiB');
    my $big = $fill->($limit);
    is_json_answer(push_raw($token, undef, chunks => [ unpack '(a65536)*', $big ]), '2 MiB chunked');
    is_error(push_raw($token, undef, chunks => [ unpack '(a65536)*', $fill->($limit + 1) ]),
        413, 'request_too_large', 'one byte more, chunked');
};

subtest 'limits are configurable' => sub {
    my $small = Verstak::Server->new(
        config => {
            'limits.push_operations' => 3,
            'limits.push_body'       => '4KiB',
            'limits.push_payload'    => 100,
            'server.workers'         => 1
        }
    );
    my $token = $small->new_device;
    is_json_answer($small->push_response($token, [ map { op() } 1 .. 3 ]), '3 operations');
    is_error($small->push_response($token, [ map { op() } 1 .. 4 ]), 413, 'too_many_operations', '4 operations');
    is_json_answer($small->push_response($token, [ op(payload_json => '"' . 'x' x 98 . '"') ]), 'payload of 100 bytes');
    is_error($small->push_response($token, [ op(payload_json => '"' . 'x' x 99 . '"') ]),
        413, 'payload_too_large', '101');
    is_error($small->push_response($token, [], pad => 'x' x 4096), 413, 'request_too_large', 'a body over 4 KiB');
};

subtest 'operations that are none' => sub {
    my $token = vault();
    my $push  = sub (%field) { $server->push_response($token, [ op(%field) ]) };
    for my $field (qw(op_id entity_type entity_id op_type)) {
        is_error($push->($field => $_->[0]), 400, 'invalid_operation', "$field $_->[1]")
            for [ undef, 'null' ], [ '', 'empty' ], [ '   ', 'of blanks' ], [ "\t\r\n ", 'of white space' ];
        my $op = op();
        delete $op->{$field};
        is_error($server->push_response($token, [$op]), 400, 'invalid_operation', "no $field");
    }
    for my $field (qw(client_sequence last_seen_server_seq)) {
        is_error($push->($field => -1),                   400, 'invalid_operation', "$field -1");
        is_error($push->($field => -9223372036854775807), 400, 'invalid_operation', "$field very negative");
        is_json_answer($push->($field => $_), "$field $_") for 0, 9223372036854775807;
        is_json_answer($push->($field => undef), "$field null");
    }
    my $optional = op();
    delete @$optional{qw(client_sequence last_seen_server_seq payload_json created_at)};
    is_json_answer($server->push_response($token, [$optional]), 'only the fields that must be there');
    my ($got) = grep { $_->{op_id} eq $optional->{op_id} } $server->pull_all($token);
    is $got->{payload_json}, '', 'an absent payload_json is empty';
    is $got->{created_at},   '', 'an absent created_at is empty';
    is_json_answer($push->(payload_json => undef, created_at => undef, unknown => { a => 1 }),
        'null and unknown fields');
};

subtest 'wrong types' => sub {
    my $token = vault();
    my %wrong = (
        op_id                => [ '1',   '[]', '{}', 'true', '1.5' ],
        entity_type          => [ '1',   '[]' ],
        entity_id            => [ '{}',  'false' ],
        op_type              => [ '0',   '["a"]' ],
        payload_json         => [ '{}',  '1', '[]', 'true' ],
        created_at           => [ '0',   '{}' ],
        client_sequence      => [ '"1"', '1.5', '[]', 'true',  '9223372036854775808', '1e30', '-1e400', '{}' ],
        last_seen_server_seq => [ '"1"', '0.1', '{}', 'false', '18446744073709551616' ],
    );
    for my $field (sort keys %wrong) {
        for my $value (@{ $wrong{$field} }) {
            my $op = op();
            delete $op->{$field};
            my $body = encode_json({ ops => [$op] }) =~ s/\]\}\z/]}/r;
            $body =~ s/"ops":\[\{/"ops":[{"$field":$value,/;
            my $response = push_raw($token, $body);
            ok $response->status == 400 && $response->code =~ /\Ainvalid_(?:request|operation|json)\z/,
                "$field $value: 400"
                or diag $response->describe;
        }
    }
    for my $ops ('{}', '"x"', '1', 'true', '[1]', '["x"]', '[null]', '[[]]', '[{}, 1]') {
        my $response = push_raw($token, qq({"ops":$ops}));
        ok $response->status == 400 && $response->code =~ /\Ainvalid_(?:request|operation)\z/, "ops $ops: 400"
            or diag $response->describe;
    }
    is_error(push_raw($token, encode_json({ ops => [ op() ], idempotency_key => 5 })),
        400, 'invalid_request', 'idempotency_key as number');
    is_json_answer(push_raw($token, encode_json({ ops => [ op() ], idempotency_key => undef, device_id => undef })),
        'null idempotency_key and device_id');
    is scalar @{ stored($token) }, 1, 'only the good one is stored';
};

subtest 'all or none' => sub {
    my $token = vault();
    my @good  = map { op() } 1 .. 3;
    my %bad   = (
        invalid_operation       => [ 400, op(op_type      => '') ],
        field_too_long          => [ 400, op(op_id        => 'x' x 129) ],
        invalid_payload         => [ 400, op(payload_json => '{') ],
        payload_too_large       => [ 413, op(payload_json => '"' . 'x' x (256 * 1024) . '"') ],
        inline_binary_forbidden => [ 400, op(entity_type  => 'file', payload_json => '{"dataBase64":""}') ],
        blob_not_owned          =>
            [ 400, op(entity_type => 'file', payload_json => '{"blob":{"sha256":"' . 'a' x 64 . '","size":1}}') ],
    );
    for my $code (sort keys %bad) {
        my ($status, $op) = @{ $bad{$code} };
        is_error($server->push_response($token, [ @good, $op ], idempotency_key => 'the key'),
            $status, $code, 'a bad last operation');
        is_error($server->push_response($token, [ $op, @good ]), $status, $code, 'a bad first operation');
    }
    is_deeply stored($token), [], 'nothing is stored';
    is $server->pull($token)->{server_sequence}, 0, 'and no sequence number used up';
    is_json_answer($server->push_response($token, \@good, idempotency_key => 'the key'),
        'a refused push did not take its key');
    is scalar @{ stored($token) }, 3, 'the good ones are stored now';
};

subtest 'the blob rule' => sub {
    my ($token, $other_device) = vault(2);
    my $elsewhere = vault();
    my $bytes     = 'the bytes of a file';
    my $blob      = $server->upload($token,     $bytes);
    my $foreign   = $server->upload($elsewhere, 'bytes of another vault');
    my $file      = sub ($payload, %field) {
        $server->push_response($token, [ op(entity_type => 'file', payload_json => $payload, %field) ]);
    };
    my $reference = sub ($sha256, $size) { encode_json({ blob => { sha256 => $sha256, size => $size } }) };

    is_json_answer($file->($reference->($blob->{sha256}, $blob->{size})), 'a blob of this vault');
    is_json_answer(
        $server->push_response(
            $other_device, [ op(entity_type => 'file', payload_json => $reference->($blob->{sha256}, $blob->{size})) ]
        ),
        'from another device of the vault'
    );
    is_json_answer($file->($_), "payload '$_' names no blob")
        for '', '{}', '[]', '"dataBase64"', '1', 'null', '{"text":"x"}', '[{"dataBase64":"x"}]', '{"Blob":1}',
        '{"x":{"y":1}}';

    is_error($file->($_), 400, 'inline_binary_forbidden', $_)
        for '{"dataBase64":"AAAA"}', '{"dataBase64":""}', '{"dataBase64":{}}', '{"a":1,"dataBase64":"x","b":2}',
        ' { "dataBase64" : "x" } ', '{"data\\u0042ase64":"x"}', '{"\\u0064ataBase64":"x"}',
        '{"dataBase64":"x","dataBase64":"y"}',
        '{"dataBase64":"x","blob":{"sha256":"' . $blob->{sha256} . '","size":' . $blob->{size} . '}}';

    my $unknown = sha256_hex('never uploaded');
    is_error($file->($reference->($unknown,           5)), 400, 'blob_not_owned', 'a blob that nobody uploaded');
    is_error($file->($reference->($foreign->{sha256}, $foreign->{size})), 400, 'blob_not_owned',
        "another vault's blob");
    is_error($file->($reference->($blob->{sha256}, $blob->{size} + 1)), 400, 'invalid_blob_reference', 'another size');
    is_error($file->($reference->($blob->{sha256}, $_)), 400, 'invalid_blob_reference', "size " . encode_json($_))
        for undef, -1, "$blob->{size}", 1.5, [], {}, JSON::PP::true;
    is_error($file->($reference->($_, $blob->{size})), 400, 'invalid_blob_reference', 'sha256 ' . encode_json($_))
        for undef, '', 'x', uc $blob->{sha256}, "$blob->{sha256}0", substr($blob->{sha256}, 1), 7, [], 'g' x 64;
    is_error($file->($_), 400, 'invalid_blob_reference', $_)
        for '{"blob":{}}', '{"blob":1}', '{"blob":"' . $blob->{sha256} . '"}', '{"blob":[]}', '{"blob":true}',
        qq({"blob":{"sha256":"$blob->{sha256}"}}), qq({"blob":{"size":$blob->{size}}}), '{"bl\\u006fb":{}}';

    my $both = qq({"blob":{"sha256":"$unknown","size":5},"blob":{"sha256":"$blob->{sha256}","size":$blob->{size}}});
    my $htob = qq({"blob":{"sha256":"$blob->{sha256}","size":$blob->{size}},"blob":{"sha256":"$unknown","size":5}});
    is $file->($_)->status, 400, "a repeated member does not get around the rule: $_" for $both, $htob;
    is_json_answer(
        $server->push_response($token, [ op(entity_type => $_, payload_json => '{"dataBase64":"x","blob":{}}') ]),
        "the rule is not for entity_type '$_'")
        for 'note', 'File', 'files', ' file';
};

subtest 'a repeated operation' => sub {
    my ($token, $other) = vault(2);
    my $first  = op(payload_json => '"first"');
    my $second = op();
    $server->push($token, $first, $second);
    my $changed = { %$first, payload_json => '"changed"', entity_id => 'other.md' };
    my $new     = op();
    my $answer  = $server->push($token, $new, $changed);
    is_deeply $answer->{accepted}, [ $new->{op_id}, $first->{op_id} ], 'accepted holds the new and the one of before';
    is $answer->{count}, 2, 'count';
    is_deeply $server->push($other, $second)->{accepted}, [ $second->{op_id} ], 'by another device of the vault, too';
    my @got = $server->pull_all($token);
    is_deeply [ map { $_->{op_id} } @got ], [ map { $_->{op_id} } $first, $second, $new ],
        'stored once, in the first order';
    is_deeply [ map { $_->{server_sequence} } @got ], [ 1, 2, 3 ], 'gapless, first numbers kept';
    is $got[0]{payload_json}, '"first"', 'with the first content';

    my $twice = op(payload_json => '"one"');
    $answer = $server->push($token, $twice, { %$twice, payload_json => '"two"' }, my $after = op());
    is_deeply $answer->{accepted}, [ $twice->{op_id}, $after->{op_id} ], 'twice in one push: named once';
    is $answer->{count}, 2, 'counted once';
    @got = $server->pull_all($token, 3);
    is_deeply [ map { "$_->{server_sequence} $_->{op_id} $_->{payload_json}" } @got ],
        [ "4 $twice->{op_id} \"one\"", "5 $after->{op_id} " ], 'stored once, gapless';
    my $case = op(op_id => 'Op');
    $server->push($token, $case, { %$case, op_id => 'op' }, { %$case, op_id => 'op ' }, { %$case, op_id => ' op' });
    is scalar $server->pull_all($token, 5), 4, 'op_ids differ by case and blanks';
};

subtest 'idempotency keys' => sub {
    my ($token, $other) = vault(2);
    my $elsewhere = vault();
    my $push      = sub ($key, @op) { $server->push_response($token, \@op, idempotency_key => $key) };
    my $first     = $push->('key', my @batch = (op(), op()));
    is_json_answer($first, 'first');
    my $again = $push->('key', @batch);
    is $again->body,               $first->body, 'the same push again gets the same answer, byte for byte';
    is $push->('key', op())->body, $first->body, 'another push with the key, too';
    is $server->push_response($other, [ op() ], idempotency_key => 'key')->body, $first->body,
        'from another device, too';
    is scalar @{ stored($token) }, 2, 'nothing more is stored';
    my $new = op();
    is_deeply $server->push_response($elsewhere, [$new], idempotency_key => 'key')->json->{accepted}, [ $new->{op_id} ],
        'the key belongs to its vault';
    is_deeply $push->('KEY', $new)->json->{accepted}, [ $new->{op_id} ], 'a key differs by case';
    my $blank = op();
    is_deeply $push->('key ', $blank)->json->{accepted}, [ $blank->{op_id} ], 'and by a blank';

    for my $none ('', undef) {
        my $what = defined $none ? 'an empty key' : 'a null key';
        for my $op (op(), op()) {
            is_deeply $push->($none, $op)->json->{accepted}, [ $op->{op_id} ], "$what is no key";
        }
    }
    $push->("schlüssel 💾'", my $odd = op());
    is_deeply $push->("schlüssel 💾'", op())->json->{accepted}, [ $odd->{op_id} ], 'a key of any letters';
};

subtest 'one key from many at once' => sub {
    my ($token, $other) = vault(2);
    my @connection = map { $server->connect } 1 .. 12;
    my @op         = map { op() } @connection;
    for my $i (0 .. $#connection) {
        $connection[$i]->send_request(
            POST  => '/api/v1/sync/push',
            token => $i % 2 ? $token : $other,
            json  => { ops => [ $op[$i] ], idempotency_key => 'one' }
        );
    }
    my %body = map { my $r = $_->response; ($r->status . ' ' . $r->body => 1) } @connection;
    is scalar keys %body,          1, 'all get the one answer' or diag explain [ keys %body ];
    is scalar @{ stored($token) }, 1, 'and one is stored';
};

subtest 'one operation from many at once' => sub {
    my ($token, $other) = vault(2);
    my @connection = map { $server->connect } 1 .. 12;
    my @shared     = map { op() } 1 .. 5;
    for my $i (0 .. $#connection) {
        $connection[$i]->send_request(
            POST  => '/api/v1/sync/push',
            token => $i % 2 ? $token : $other,
            json  => { ops => [ $i % 3 ? @shared : reverse @shared ] }
        );
    }
    for my $connection (@connection) {
        my $response = $connection->response;
        is $response->status,        200, 'accepted' or diag $response->describe;
        is $response->json->{count}, 5,   'all five';
    }
    my @got = $server->pull_all($token);
    is_deeply [ sort map { $_->{op_id} } @got ],      [ sort map { $_->{op_id} } @shared ], 'each stored once';
    is_deeply [ map { $_->{server_sequence} } @got ], [ 1 .. 5 ],                           'gapless';
};

subtest 'conflicts' => sub {
    my $vault_id = 'conflicts';
    my ($a, $b, $c) = map { $server->pair_device($name, $password, vault_id => $vault_id) } 1 .. 3;
    my $push  = sub ($device, @op) { $server->push($device->{device_token}, @op) };
    my $entry = sub ($device, $sequence, $op) {
        +{
            op_id           => $op->{op_id},
            device_id       => $device->{device_id},
            op_type         => $op->{op_type},
            server_sequence => $sequence,
            entity_type     => $op->{entity_type},
            entity_id       => $op->{entity_id},
        };
    };
    my @op = (
        op(entity_id => 'x'),
        op(entity_id => 'x', op_type => 'delete'),
        op(entity_id => 'y'),
        op(entity_id => 'x', entity_type => 'folder'),
        op(entity_id => 'x', op_type     => 'rename'),
    );
    $push->($a, @op);                                # 1 to 5
    $push->($c, my $by_c = op(entity_id => 'x'));    # 6
    $push->($b, my $own  = op(entity_id => 'x'));    # 7
    my $at = sub ($entity_id, $seen, %field) {
        $push->($b, op(entity_id => $entity_id, last_seen_server_seq => $seen, %field))->{conflicts};
    };
    is_deeply $at->('x', 0), [], 'none with last_seen_server_seq 0';
    is_deeply $at->('x', 1), [ $entry->($a, 5, $op[4]), $entry->($c, 6, $by_c) ],
        'of other devices, greater, not deleted, this entity, in sequence order';
    is_deeply $at->('x', 5),                          [ $entry->($c, 6, $by_c) ],  'only greater ones';
    is_deeply $at->('x', 6),                          [],                          'none newer but its own';
    is_deeply $at->('x', 1_000_000),                  [],                          'none beyond the end';
    is_deeply $at->('x', 1, entity_type => 'folder'), [ $entry->($a, 4, $op[3]) ], 'entity_type counts';
    is_deeply $at->('y', 1),                          [ $entry->($a, 3, $op[2]) ], 'entity_id counts';
    is_deeply $at->('Y', 1),                          [],                          'and its case';
    is_deeply $at->('x', 1, op_type => 'delete'), [ $entry->($a, 5, $op[4]), $entry->($c, 6, $by_c) ],
        'a delete sees them, too';
    has_types(
        $at->('y', 1)->[0],
        { server_sequence => 'number', op_id => 'string', device_id => 'string' },
        'the types'
    );
    my $two =
        $push->($b, op(entity_id => 'y', last_seen_server_seq => 1), op(entity_id => 'x', last_seen_server_seq => 5));
    is_deeply $two->{conflicts}, [ $entry->($a, 3, $op[2]), $entry->($c, 6, $by_c) ],
        'several operations of one push, in sequence order';
    is $two->{count}, 2, 'they are stored all the same';

    my $other_vault = vault();
    $server->push($other_vault, map { op(entity_id => 'x') } 1 .. 3);
    is_deeply $at->('x', 6), [], 'another vault does not conflict';
    my $long = 'ж' x 2048;
    $push->($a, my $long_op = op(entity_id => $long));
    is_deeply [ map { $_->{op_id} } @{ $at->($long, 1) } ], [ $long_op->{op_id} ], 'an entity_id of 4096 bytes';
    is_deeply $at->(substr($long, 1), 1),                   [],                    'not one that differs at the end';
};

subtest 'conflicts are bounded' => sub {
    my ($a, $b) = vault(2);
    $server->push($a, map { op(entity_id => 'busy') } 1 .. 100) for 1 .. 11;    # 1 to 1100
    $server->push($a, map { op(entity_id => 'also') } 1 .. 100) for 1, 2;       # 1101 to 1300
    my $conflicts = $server->push($b, op(entity_id => 'busy', last_seen_server_seq => 1))->{conflicts};
    is scalar @$conflicts, 1000, '1000 at most';
    is_deeply [ map { $_->{server_sequence} } @$conflicts ], [ 101 .. 1100 ], 'the newest, in sequence order';
    $conflicts = $server->push($b, map { op(entity_id => $_, last_seen_server_seq => 1) } 'also', 'busy')->{conflicts};
    is_deeply [ map { $_->{server_sequence} } @$conflicts ], [ 301 .. 1300 ], 'the newest of all operations of a push';
};

subtest 'the scope comes from the token' => sub {
    my $here  = $server->pair_device($name, $password, vault_id => 'scope a');
    my $there = $server->pair_device($name, $password, vault_id => 'scope b');
    is_json_answer(
        $server->push_response(
            $here->{device_token},
            [ op(device_id => $there->{device_id}, vault_id => 'scope b', server_sequence => 99) ],
            device_id => $there->{device_id},
            vault_id  => 'scope b',
            user_id   => 1
        ),
        'push with fields of another scope'
    );
    my ($got) = $server->pull_all($here->{device_token});
    is $got->{device_id},       $here->{device_id}, 'the stored device is the token\'s';
    is $got->{server_sequence}, 1,                  'the sequence is the server\'s';
    is_deeply stored($there->{device_token}), [], 'the other vault has nothing';
};

done_testing;
