# Push and pull as SQL: order under locks held on purpose, repetition, idempotency keys, conflicts, isolation, and callers that
# lose their right while they wait.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Test::More;
use Verstak::Schema;

my $schema = Verstak::Schema->new;
my $dbh    = $schema->connect;
my $vaults = 0;

my %user = map { $_ => $schema->user($dbh, $_) } qw(anna bert);

# Device tokens $count of a new vault of anna.
sub vault ($count = 1, $user = 'anna') {
    my $vault = 'vault ' . ++$vaults;
    my @token = map { $schema->pair($dbh, $user{$user}, $user, "$vault $_", $vault) } 1 .. $count;
    return wantarray ? @token : $token[0];
}

sub parameters { goto &Verstak::Schema::push_parameters }

sub answer ($row) {
    return $row if $row->{auth} != 0 || defined $row->{error_code};
    return JSON::PP->new->decode($row->{answer});
}

# An operation's description: a plain word is its op_id.
sub ops (@list) { return [map { ref ? $_ : { op_id => $_ } } @list] }

sub push_ops ($token, $ops, %option) {
    return answer($schema->one($option{dbh} // $dbh, sync_push => parameters($token, $ops, %option)));
}

sub pull ($token, $since = 0, $limit = 1000, $bytes = 1 << 30, $on = $dbh) {
    my $rows = $schema->call($on, sync_pull => $token, $since, $limit, $bytes);
    return defined $rows->[0]{op_id} ? @$rows : ();
}

# What a vault's log must be at any time: numbered from 1 without gaps up to the vault's last sequence.
sub log_is ($token, $op_ids, $name) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $rows = $schema->call($dbh, sync_pull => $token, 0, 100_000, 1 << 40);
    my @ops  = grep { defined $_->{op_id} } @$rows;
    return is_deeply(
        [$rows->[0]{server_sequence}, map { "$_->{sequence} $_->{op_id}" } @ops],
        [scalar @$op_ids, map { $_ + 1 . " $op_ids->[$_]" } 0 .. $#$op_ids], $name
    );
}

subtest 'what was pushed comes back' => sub {
    my ($token, $other) = vault(2);
    my %op = (op_id => "o\x{1F600}\\\"{}", type => 'filé', id => "Ordner/ä,\t\"b\"\n.md", op => 'up"date',
        payload => '{"a": [1,  2], "ü": "\\\\u0000"}', created_at => 'gestern');
    is_deeply(push_ops($token, ops(\%op)), { accepted => [$op{op_id}], count => 1, conflicts => [] }, 'answer');
    my ($row) = pull($other);
    is_deeply(
        [@$row{qw(auth user_name server_sequence op_id sequence entity_type entity_id op_type payload created_at device_id)}],
        [0, 'anna', 1, $op{op_id}, 1, @op{qw(type id op payload created_at)}, Verstak::Schema::device_id("vault $vaults 1")],
        'the same words, and the device that pushed'
    );
    is_deeply([pull($other, 1)], [], 'nothing after the last');
    is($schema->one($dbh, sync_pull => $other, 1, 10, 10)->{server_sequence}, 1, 'the empty page names the last sequence');
    is_deeply([pull($other, '9223372036854775807', 10)], [], 'a cursor beyond all');
};

subtest 'order of a batch, repetition' => sub {
    my $token = vault();
    is_deeply(push_ops($token, ops(qw(c a b)))->{accepted}, [qw(c a b)], 'accepted in the order of the push');
    is_deeply(push_ops($token, ops(qw(b d c e d a e))), { accepted => [qw(b d c e a)], count => 5, conflicts => [] },
        'stored and doubled ones are accepted, each once');
    is_deeply(push_ops($token, ops('a'))->{accepted}, ['a'], 'a single repeated one');
    is_deeply(push_ops($token, ops(qw(x x)))->{accepted}, ['x'], 'twice in one batch of its own');
    is_deeply(push_ops($token, ops()), { accepted => [], count => 0, conflicts => [] }, 'no operation');
    log_is($token, [qw(c a b d e x)], 'stored once, in order, without gaps');
};

subtest 'pages' => sub {
    my $token = vault();
    push_ops($token, [map { { op_id => "o$_", id => 'id', payload => 'x' x 88, created_at => 'x' x 10 } } 1 .. 20]);
    is_deeply([map { $_->{sequence} } pull($token, 3, 5)], [4 .. 8], 'bounded in operations');
    is_deeply([map { $_->{sequence} } pull($token, 3, 100, 500)], [4 .. 8], 'bounded in bytes');
    is_deeply([map { $_->{sequence} } pull($token, 3, 100, 499)], [4 .. 7], 'one byte less, one less');
    is_deeply([map { $_->{sequence} } pull($token, 3, 100, 1)], [4], 'never empty while there is more');
    is_deeply([map { $_->{sequence} } pull($token, 19, 100, 1)], [20], 'the last');
};

subtest 'two transactions held open: order' => sub {
    my ($one, $two) = vault(2);
    my $first  = $schema->connect;
    my $second = $schema->connect;
    for my $end (qw(commit rollback)) {
        my @before = map { $_->{op_id} } pull($one);
        $first->begin_work;
        push_ops($one, ops("$end 1", "$end 2"), dbh => $first);
        $schema->start($second, sync_push => parameters($two, ops("$end 3")));
        $schema->blocked($second);
        is_deeply([map { $_->{op_id} } pull($one)], \@before, 'a reader sees nothing of either');
        $first->$end;
        is_deeply(answer($schema->result($second)->[0])->{accepted}, ["$end 3"], "the second is stored after the first's $end");
        log_is($one, [@before, $end eq 'commit' ? ("$end 1", "$end 2") : (), "$end 3"], "order after $end");
    }
};

subtest 'other vaults do not wait' => sub {
    my $one = vault();
    my $two = vault();
    my $first = $schema->connect;
    $first->begin_work;
    push_ops($one, ops('a'), dbh => $first);
    is_deeply(push_ops($two, ops('a'))->{accepted}, ['a'], 'another vault of the same user');
    $first->rollback;
};

subtest 'the same operation and the same key at the same time' => sub {
    my ($one, $two) = vault(2);
    my $first  = $schema->connect;
    my $second = $schema->connect;
    $first->begin_work;
    push_ops($one, ops('a', 'b'), dbh => $first, key => 'k');
    $schema->start($second, sync_push => parameters($one, ops('a', 'b', 'c'), key => 'k'));
    $schema->blocked($second);
    $first->commit;
    is_deeply(answer($schema->result($second)->[0]), { accepted => ['a', 'b'], count => 2, conflicts => [] },
        'the stored answer of the key');
    log_is($one, ['a', 'b'], 'nothing of the second');

    $first->begin_work;
    push_ops($one, ops('d'), dbh => $first);
    $schema->start($second, sync_push => parameters($two, ops('d', 'e')));
    $schema->blocked($second);
    $first->commit;
    is_deeply(answer($schema->result($second)->[0])->{accepted}, ['d', 'e'], 'both accepted without a key');
    log_is($one, ['a', 'b', 'd', 'e'], 'the doubled one is stored once');
};

subtest 'idempotency keys' => sub {
    my $one = vault();
    my $two = vault();
    my $first = $schema->one($dbh, sync_push => parameters($one, ops('a'), key => 'key'))->{answer};
    is($schema->one($dbh, sync_push => parameters($one, ops('other'), key => 'key'))->{answer}, $first, 'the first answer again');
    log_is($one, ['a'], 'and nothing stored');
    is_deeply(push_ops($two, ops('a2'), key => 'key')->{accepted}, ['a2'], 'the key of another vault is another key');
    is_deeply(push_ops($one, ops('b'), key => 'Key')->{accepted}, ['b'], 'case matters');
    my $refused = push_ops($one, ops('c'), key => 'refused', blobs => [Verstak::Schema::token('no blob')], sizes => [1]);
    is($refused->{error_code}, 'blob_not_owned', 'a refused push');
    is_deeply(push_ops($one, ops('c'), key => 'refused')->{accepted}, ['c'], 'keeps no answer');
};

subtest 'conflicts' => sub {
    my ($one, $two, $three) = vault(3);
    my $name = "vault $vaults";
    push_ops($one, ops({ op_id => '1', id => 'a' }, { op_id => '2', id => 'b' }, { op_id => '3', id => 'a', op => 'delete' },
        { op_id => '4', id => 'a', type => 'folder' }, { op_id => '5', id => 'a' }));
    push_ops($two,   ops({ op_id => '6', id => 'a' }));
    push_ops($three, ops({ op_id => '7', id => 'a' }));

    my $conflicts = sub ($token, @ops) {
        return [map { $_->{op_id} } @{ push_ops($token, ops(@ops))->{conflicts} }];
    };
    is_deeply(
        push_ops($two, ops({ op_id => '8', id => 'a', seen => 1 }))->{conflicts},
        [map { { op_id => $_->[0], device_id => Verstak::Schema::device_id("$name $_->[1]"), op_type => 'update', server_sequence => $_->[0],
                entity_type => 'file', entity_id => 'a' } } [5, 1], [7, 3]],
        'later, of others, same entity, no deletes'
    );
    is_deeply($conflicts->($three, { op_id => '9', id => 'a', seen => 0 }), [], 'none for last_seen 0');
    is_deeply($conflicts->($three, { op_id => '10', id => 'a', seen => 5 }), [6, 8], 'only after last_seen');
    is_deeply($conflicts->($three, { op_id => '11', id => 'a', seen => 100 }), [], 'last_seen in the future');
    is_deeply(
        $conflicts->($three, { op_id => '12', id => 'b', seen => 1 }, { op_id => '13', id => 'a', seen => 6 },
            { op_id => '14', id => 'a', seen => 5 }, { op_id => '15', id => 'a' }, { op_id => '16', type => 'folder', id => 'a', seen => 1 }),
        [2, 4, 6, 8], 'a batch: each once, in sequence order'
    );
    is_deeply($conflicts->($three, { op_id => '10', id => 'a', seen => 5 }), [6, 8], 'the same for a repeated operation');
};

# Else a push that names one id under a hundred types walks over the whole history of that id a hundred times.
subtest 'operations on the same id of other types cost nothing' => sub {
    my $token = vault();
    push_ops($token, ops(map { { op_id => "o$_", id => 'same', type => 'file' } } 1 .. 500));
    push_ops(vault(), ops(map { { op_id => "o$_", id => "id $_" } } 1 .. 5000));
    $dbh->do('ANALYZE operations');    # the plan of a log of some size
    my $read = sub {
        $dbh->do('SELECT pg_stat_clear_snapshot()');
        $dbh->selectrow_array(q{SELECT idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'operations'});
    };
    $dbh->begin_work;
    my $before = $read->();
    push_ops($token, ops(map { { op_id => "t$_", id => 'same', type => "type $_", seen => 1 } } 1 .. 20));
    my $several = $read->() - $before;
    push_ops($token, ops({ op_id => 'u', id => 'same', type => 'another', seen => 1 }));
    my $one = $read->() - $before - $several;
    $dbh->rollback;
    cmp_ok($several, '<', 500, "a push of several operations read $several");
    cmp_ok($one,     '<', 500, "a push of one operation read $one");
};

subtest 'at most 1000 conflicts, the newest' => sub {
    my ($one, $two) = vault(2);
    push_ops($one, [map { { op_id => "o$_", id => $_ % 2 ? 'a' : 'b' } } 1 .. 1300]);
    my $found = push_ops($two, ops({ op_id => 'x', id => 'b', seen => 1 }, { op_id => 'y', id => 'a', seen => 1 }))->{conflicts};
    is_deeply([map { $_->{server_sequence} } @$found], [301 .. 1300], 'of two entities');
};

subtest 'isolation' => sub {
    my $one = vault();
    my $two = vault();
    my $bert = vault(1, 'bert');
    my %id = (id => 'same');
    push_ops($one,  ops({ op_id => 'a', %id }, { op_id => 'b', %id }));
    is_deeply(push_ops($_, ops({ op_id => 'x', %id }, { op_id => 'a', %id, seen => 1 })),
        { accepted => ['x', 'a'], count => 2, conflicts => [] }, 'the same op_id and entity in another vault') for $two, $bert;
    log_is($one, ['a', 'b'], 'first vault');
    log_is($_,   ['x', 'a'], 'another') for $two, $bert;
};

subtest 'callers' => sub {
    my ($one, $two) = vault(2);
    my $auth = sub ($token) { return [map { $schema->one($dbh, @$_)->{auth} } [sync_push => parameters($token, ops('x'))], [sync_pull => $token, 0, 9, 9], [device_me => $token]] };
    is_deeply($auth->(Verstak::Schema::token('never')), [1, 1, 1], 'unknown');
    is($schema->one($dbh, device_revoke_current => $one, 'here')->{auth}, 0, 'revoke');
    is_deeply($auth->($one), [2, 2, 2], 'revoked');
    is($schema->one($dbh, device_revoke_current => $one, 'here')->{auth}, 2, 'revoked, again');
    $schema->one($dbh, user_set_blocked => 'ANNA', 't');
    is_deeply($auth->($two), [3, 3, 3], 'blocked');
    is_deeply($auth->($one), [2, 2, 2], 'revoked and blocked');
    $schema->one($dbh, user_set_blocked => 'anna', 'f');
    is_deeply($auth->($two), [0, 0, 0], 'unblocked');
    log_is($two, ['x'], 'only what was allowed is stored');
};

subtest 'last seen' => sub {
    my $token = vault();
    is(push_ops($token, ops('a'))->{count}, 1, 'push');
    is($schema->one($dbh, sync_push => parameters($token, ops('a')))->{touch}, 1, 'never seen: touch');
    is($schema->one($dbh, sync_pull => $token, 1, 1, 1)->{touch}, 1, 'pull says so, too');
    $schema->one($dbh, device_touch => $token, '192.0.2.7');
    is($schema->one($dbh, sync_push => parameters($token, ops('b')))->{touch}, 0, 'seen just now');
    my ($seen, $address) = $dbh->selectrow_array('SELECT last_seen, last_address FROM devices WHERE token_hash = $1::bytea', undef, $token);
    is($address, '192.0.2.7', 'address');
    $schema->one($dbh, device_touch => $token, '192.0.2.8');
    is_deeply([$dbh->selectrow_array('SELECT last_seen, last_address FROM devices WHERE token_hash = $1::bytea', undef, $token)],
        [$seen, $address], 'not written again within a minute');
    $dbh->do(q{UPDATE devices SET last_seen = now() - interval '61 seconds' WHERE token_hash = $1::bytea}, undef, $token);
    is($schema->one($dbh, device_me => $token)->{touch}, 1, 'and again after a minute');
};

# A push waits for another of the same vault; in the same transaction the right of the waiting one goes.
my %loss = (
    'a device revoked' => [2, sub ($on, $token, $user) { $schema->one($on, device_revoke_current => $token, 'x') }],
    'a user blocked'   => [3, sub ($on, $token, $user) { $schema->one($on, user_set_blocked => $user, 't') }],
    'a user deleted'   => [1, sub ($on, $token, $user) { $schema->one($on, user_delete => $user) }],
);
for my $what (sort keys %loss) {
    subtest "$what while its push waits" => sub {
        my $user = $what =~ s/\W/-/gr;
        $user{$user} = $schema->user($dbh, $user);
        my ($one, $two) = vault(2, $user);
        my ($auth, $lose) = @{ $loss{$what} };
        my $first  = $schema->connect;
        my $second = $schema->connect;
        $first->begin_work;
        push_ops($one, ops('a'), dbh => $first);
        $lose->($first, $two, $user);
        $schema->start($second, sync_push => parameters($two, ops("after $what")));
        $schema->blocked($second);
        $first->commit;
        is($schema->result($second)->[0]{auth}, $auth, 'refused');
        is_deeply($dbh->selectall_arrayref('SELECT * FROM operations WHERE op_id = $1', undef, "after $what"), [], 'nothing stored');
        log_is($one, ['a'], 'the log is whole') if $auth == 2;
    };
    subtest "$what waits for the push in flight" => sub {
        my $user = 'flight-' . $what =~ s/\W/-/gr;
        $user{$user} = $schema->user($dbh, $user);
        my ($one, $two) = vault(2, $user);
        my ($auth, $lose) = @{ $loss{$what} };
        my $first  = $schema->connect;
        my $second = $schema->connect;
        $first->begin_work;
        push_ops($two, ops('a'), dbh => $first);
        my %statement = (2 => [device_revoke_current => $two, 'x'], 3 => [user_set_blocked => $user, 't'], 1 => [user_delete => $user]);
        $schema->start($second, @{ $statement{$auth} });
        $schema->blocked($second);
        $first->commit;
        $schema->result($second);
        is(push_ops($two, ops('b'))->{auth}, $auth, 'from then on refused');
    };
}

subtest 'plans do not depend on the size of the log' => sub {
    my $fresh = Verstak::Schema->new;
    my $on    = $fresh->connect;
    my $token = $fresh->pair($on, $fresh->user($on, 'carl'), 'carl', 'd');
    my ($vault) = $on->selectrow_array('SELECT id FROM vaults');
    $on->do(q{INSERT INTO operations SELECT $1::bigint, n, n, 0, now(), 'dev_' || repeat('0', 24), 'op' || n, 'file', 'e' || n % 7, 'update', '', '{}'
              FROM generate_series(1, 20000) n}, undef, $vault);
    $on->do('UPDATE vaults SET last_sequence = 20000');
    my $log = $fresh->pg->log_file;
    my $superuser = $fresh->pg->dbh;
    $superuser->{pg_placeholder_dollaronly} = 1;
    $superuser->do('ANALYZE');
    $superuser->do(q{LOAD 'auto_explain'});
    $superuser->do('SET auto_explain.log_min_duration = 0');
    $superuser->do('SET auto_explain.log_nested_statements = on');
    for my $mode (qw(force_generic_plan force_custom_plan)) {
        $superuser->do("SET plan_cache_mode = $mode");
        $fresh->one($superuser, sync_push => parameters($token, ops({ op_id => "1 $mode", id => 'e1', seen => 19_900 })));
        $fresh->one($superuser, sync_push => parameters($token, ops({ op_id => "2 $mode", id => 'e1', seen => 19_900 }, { op_id => "1 $mode" })));
        $fresh->call($superuser, sync_pull => $token, 19_990, 5, 1000);
    }
    my $plans = Verstak::Processes::slurp($log);
    like($plans, qr/operations_op_id/, 'the plans are in the log');
    like($plans, qr/operations_entity/, 'conflicts are looked up by entity');
    unlike($plans, qr/(?:Seq|Bitmap Heap) Scan on operations/, 'the log is never walked');
};

done_testing;
