# Two users and two vaults of one user share nothing, though they use the same names for everything.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA qw(sha256_hex);
use Test::More;
use Verstak::Contract;
use Verstak::People;
use Verstak::Server;

my $server = Verstak::Server->new(config => { 'server.workers' => 2, 'limits.user_quota' => 1_000_000 });
my @ann    = $server->create_user('ann');
my @bob    = $server->create_user('bob');
my %device = (
    'ann work'    => $server->pair_device(@ann, vault_id => 'work'),
    'ann home'    => $server->pair_device(@ann, vault_id => 'home'),
    'ann default' => $server->pair_device(@ann),
    'bob work'    => $server->pair_device(@bob, vault_id => 'work'),
    'bob default' => $server->pair_device(@bob),
    # A key of one user that looks like another's default vault.
    'bob digits' => $server->pair_device(@bob, vault_id => "$server->{user_id}{ann}"),
);
my %token  = map { $_ => $device{$_}{device_token} } keys %device;
my @vaults = sort keys %device;

subtest 'one op_id, one idempotency key, one entity in each' => sub {
    my %answer;
    for my $vault (@vaults) {
        my @op = (
            Verstak::Server::op(op_id => 'same',        entity_id => 'same.md', payload_json => qq("of $vault")),
            Verstak::Server::op(op_id => "only $vault", entity_id => 'same.md', last_seen_server_seq => 1),
        );
        my $response = $server->push_response($token{$vault}, \@op, idempotency_key => 'same key');
        $answer{$vault} = is_json_answer($response, "push to $vault");
        is_deeply $answer{$vault}{accepted},  [ 'same', "only $vault" ], "$vault: both accepted";
        is_deeply $answer{$vault}{conflicts}, [],                        "$vault: no conflict with another vault";
    }
    for my $vault (@vaults) {
        my @got = $server->pull_all($token{$vault});
        is_deeply [ map { "$_->{server_sequence} $_->{op_id} $_->{payload_json} $_->{device_id}" } @got ],
            [ "1 same \"of $vault\" $device{$vault}{device_id}", "2 only $vault  $device{$vault}{device_id}" ],
            "$vault: its own two, numbered from 1";
        is $server->pull($token{$vault})->{server_sequence}, 2, "$vault: server_sequence";
    }
};

subtest 'one blob' => sub {
    my $bytes  = 'one content for all';
    my $sha256 = sha256_hex($bytes);
    my $name   = sub ($vault) {
        $server->push_response(
            $token{$vault},
            [
                Verstak::Server::op(
                    entity_type  => 'file',
                    payload_json => qq({"blob":{"sha256":"$sha256","size":${\ length $bytes}}})
                )
            ]
        );
    };
    my @have;
    my @lack = @vaults;
    while (defined(my $vault = shift @lack)) {
        is_json_answer($server->upload_response($token{$vault}, $bytes), "$vault: upload");
        push @have, $vault;
        for my $other (@have) {
            is_status($server->request(GET => "/api/v1/blobs/$sha256", token => $token{$other}), 200, "$other has it");
            is_status($name->($other), 200, "$other may name it");
        }
        for my $other (@lack) {
            is_error($server->request(GET => "/api/v1/blobs/$sha256", token => $token{$other}),
                404, 'blob_not_found', "$other has not");
            is_error($name->($other), 400, 'blob_not_owned', "$other may not name it");
        }
    }
    is scalar(split /\n/, qx{find '${\ $server->data}/blobs' -name $sha256}), 1, 'it is on disk once';
};

subtest 'one connection, changing tokens' => sub {
    my $connection = $server->connect;
    my @asked      = map { $vaults[ rand @vaults ] } 1 .. 60;
    $connection->send_request(
        POST  => '/api/v1/sync/pull',
        token => $token{$_},
        json  => { since_sequence => 0, page_limit => 2 }
    ) for @asked;
    my @wrong = grep { $connection->response->json->{ops}[0]{payload_json} ne qq("of $_") } @asked;
    is_deeply \@wrong, [], 'each of 60 pipelined pulls gets the answer of its own vault';
    $connection->send_request(GET => '/api/client/me', token => $token{$_}) for @asked;
    @wrong = grep { $connection->response->json->{device_id} ne $device{$_}{device_id} } @asked;
    is_deeply \@wrong, [], 'each me is the device itself';
};

subtest 'many connections, changing tokens' => sub {
    my @connection = map { $server->connect } 1 .. 10;
    my $number     = 0;
    my %sent;
    for my $round (1 .. 10) {
        for my $connection (@connection) {
            my $vault = $vaults[ $number % @vaults ];
            my $op    = Verstak::Server::op(op_id => "n$number", payload_json => qq("$vault"));
            push @{ $sent{$vault} }, "n$number";
            $connection->send_request(POST => '/api/v1/sync/push', token => $token{$vault}, json => { ops => [$op] });
            $number++;
        }
        is_deeply [ map { $_->response->json->{count} } @connection ], [ (1) x @connection ], "round $round";
    }
    for my $vault (@vaults) {
        my @got = grep { $_->{op_id} =~ /\An\d+\z/ } $server->pull_all($token{$vault});
        is_deeply [ sort map { $_->{op_id} } @got ], [ sort @{ $sent{$vault} } ], "$vault: what was sent to it";
        is_deeply [ grep { $_->{payload_json} ne qq("$vault") } @got ], [],       "$vault: nothing of another's";
        my @sequence = map { $_->{server_sequence} } $server->pull_all($token{$vault});
        is_deeply \@sequence, [ 1 .. @sequence ], "$vault: gapless";
    }
};

subtest 'sessions' => sub {
    my $people  = Verstak::People->new($server);
    my %session = map { $_->[0] => $people->session({ username => $_->[0], password => $_->[1] })->{token} } \@ann, \@bob;
    my $ask     = sub ($who, $method, $path, %option) { $server->request($method => "/api/v1/user/$path", token => $session{$who}, %option) };
    for my $who (qw(ann bob)) {
        my @own = map { $device{$_}{device_id} } grep {/\A$who /} @vaults;
        is_deeply [ sort map { $_->{id} } @{ is_json_answer($ask->($who, GET => 'devices'), "$who: devices") } ], [ sort @own ], "$who sees the own ones";
        is is_json_answer($ask->($who, GET => 'me'), "$who: me")->{username}, $who, "$who is $who";
    }
    for my $vault (grep {/\Abob /} @vaults) {
        is_error($ask->(ann => POST => "devices/$device{$vault}{device_id}/revoke", json => { password => $ann[1] }), 404, 'not_found', "ann does not revoke '$vault'");
        is_error($ask->(ann => POST => "devices/$device{$vault}{device_id}/revoke", json => { password => $bob[1], user_id => $server->{user_id}{bob} }),
            $ann[1] eq $bob[1] ? (404, 'not_found') : (403, 'forbidden'), "nor with bob's password");
        is_status($server->request(GET => '/api/client/me', token => $token{$vault}), 200, 'it goes on');
    }
    $ask->(ann => POST => 'logout-all');
    is_status($ask->(bob => GET => 'me'), 200, "bob's session goes on when ann ends hers");
    is_error($ask->(ann => GET => 'me'), 401, 'unauthorized', "ann's have ended");
    my @third = $server->create_user('carl');
    my $carl  = $people->session({ username => 'carl', password => $third[1] })->{token};
    is_status($server->request(POST => '/api/v1/user/delete', token => $carl, json => { password => $third[1], user_id => $server->{user_id}{bob}, username => 'bob' }), 200, 'carl deletes an account');
    is_status($ask->(bob => GET => 'me'), 200, 'which is his own, whatever the request says');
    is_status($server->request(GET => '/api/client/me', token => $token{$_}), 200, "$_ goes on") for @vaults;
};

subtest 'devices and users' => sub {
    is_error(
        $server->request(
            POST  => '/api/client/revoke-device',
            token => $token{'bob work'},
            json  => { device_id => $device{'ann work'}{device_id}, password => $bob[1] }
        ),
        404,
        'not_found',
        "another user's device"
    );
    is_status($server->request(GET => '/api/client/me', token => $token{'ann work'}), 200, 'it goes on');
    $server->request(POST => '/api/client/revoke-current', token => $token{'ann home'});
    is_error($server->push_response($token{'ann home'}, []), 401, 'unauthorized', 'a revoked device');
    is_status($server->push_response($token{'ann work'}, []), 200, "the user's other devices go on");
    $server->admin(POST => "/admin/api/users/$server->{user_id}{ann}/block");
    is_error($server->push_response($token{'ann work'}, []), 403, 'forbidden', 'a blocked user');
    is_status($server->push_response($token{$_}, []), 200, "$_ goes on") for 'bob work', 'bob default', 'bob digits';
};

done_testing;
