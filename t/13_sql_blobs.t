# Blobs as SQL: references by vault, quotas under concurrent uploads, the push's blob rule, and the janitor against uploads at the
# same moment.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA qw(sha256_hex);
use Test::More;
use Verstak::Schema;

my $schema = Verstak::Schema->new;
my $dbh    = $schema->connect;
my $hour   = 3_600_000;
my $much   = 1 << 40;
my $anna   = $schema->user($dbh, 'anna');
my $bert   = $schema->user($dbh, 'bert');
my $one    = $schema->pair($dbh, $anna, 'anna', 'one', 'one');
my $two    = $schema->pair($dbh, $anna, 'anna', 'two', 'two');
my $other  = $schema->pair($dbh, $bert, 'bert', 'other');
my @admin  = (Verstak::Schema::token('admin'), ['root:stamp']);
$schema->one($dbh, admin_session_create => $admin[0], 'root', 'stamp', $hour, 'x', '\x');

sub one ($name, @parameters) { return $schema->one($dbh, $name, @parameters) }
sub sha ($name) { return Verstak::Schema::bytes(sha256_hex($name)) }

sub upload ($token, $name, $size, $vault_quota = $much, $user_quota = $much) {
    my @blob = ($token, sha($name), $size, $vault_quota, $user_quota);
    return one(blob_reserve => @blob)->{error_code} // one(blob_commit => @blob)->{error_code} // 'ok';
}

sub size ($token, $name) { return one(blob_lookup => $token, sha($name))->{size} }

# What the dashboard says must be what a count of the tables says.
sub totals_are_right ($name) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $stats = one(admin_stats => @admin);
    return is_deeply(
        [@$stats{qw(blobs blob_bytes blob_references orphan_blobs)}],
        [$dbh->selectrow_array(
            'SELECT (SELECT count(*) FROM blobs), (SELECT coalesce(sum(size), 0) FROM blobs), (SELECT count(*) FROM vault_blobs),
             (SELECT count(*) FROM blobs b WHERE NOT EXISTS (SELECT FROM vault_blobs r WHERE r.sha256 = b.sha256))')],
        "counts are right $name"
    );
}

subtest 'upload and look-up' => sub {
    is(one(blob_commit => $one, sha('a'), 10, $much, $much)->{error_code}, 'blob_unavailable', 'no commit without a reservation');
    my $row = one(blob_reserve => $one, sha('a'), 10, $much, $much);
    is_deeply([@$row{qw(auth user_name error_code already)}], [0, 'anna', undef, 0], 'reserve');
    is(size($one, 'a'), undef, 'a reserved blob is not there yet');
    $row = one(blob_commit => $one, sha('a'), 10, $much, $much);
    is_deeply([@$row{qw(auth error_code already)}], [0, undef, 0], 'commit');
    is(size($one, 'a'), 10, 'there');
    is($_->{already}, 1, 'already there') for one(blob_reserve => $one, sha('a'), 10, $much, $much), one(blob_commit => $one, sha('a'), 10, $much, $much);
    is(size($_, 'a'), undef, 'not in another vault') for $two, $other;
    is(one(blob_lookup => Verstak::Schema::token('never'), sha('a'))->{size}, undef, 'nor for nobody');
    is(upload($two, 'a', 10), 'ok', 'the same content in another vault');
    is(upload($other, 'empty', 0), 'ok', 'an empty one');
    totals_are_right('after uploads');
    is_deeply($dbh->selectcol_arrayref('SELECT blob_bytes FROM vaults ORDER BY id'), [10, 10, 0], 'bytes by vault');
};

subtest 'quotas' => sub {
    is(upload($one, 'b', 91, 100), 'quota_exceeded', 'vault');
    is(upload($one, 'b', 90, 100), 'ok', 'to the last byte');
    is(upload($one, 'c', 1, 100), 'quota_exceeded', 'full');
    is(upload($one, 'b', 90, 100), 'ok', 'what is there already does not count');
    is(upload($two, 'c', 1, 100, 110), 'quota_exceeded', 'user, over all vaults');
    is(upload($two, 'c', 1, 100, 111), 'ok', 'user, to the last byte');
    $dbh->do('UPDATE users SET vault_quota = 11, user_quota = 1000 WHERE id = $1', undef, $anna);
    is(upload($two, 'd', 1), 'quota_exceeded', q(the user's own vault quota goes first));
    $dbh->do('UPDATE users SET vault_quota = 12, user_quota = 111 WHERE id = $1', undef, $anna);
    is(upload($two, 'd', 1), 'quota_exceeded', q(the user's own quota, too));
    $dbh->do('UPDATE users SET vault_quota = NULL, user_quota = NULL WHERE id = $1', undef, $anna);
    is(upload($two, 'huge', '9223372036854775807'), 'quota_exceeded', 'the greatest size');
    is(upload($other, 'd', 1, 0, 0), 'quota_exceeded', 'no quota at all');
    totals_are_right('after refusals');
};

for my $case (['one vault', $other, $other, 100, $much], ['one user', $one, $two, $much, 211]) {
    my ($what, $first_token, $second_token, @quota) = @$case;
    subtest "two uploads at once into $what" => sub {
        my $first  = $schema->connect;
        my $second = $schema->connect;
        my @first  = ($first_token,  sha("1 $what"), 60, @quota);
        my @second = ($second_token, sha("2 $what"), 60, @quota);
        $first->begin_work;
        is($schema->one($first, blob_reserve => @first)->{error_code}, undef, 'the first fits');
        $schema->start($second, blob_reserve => @second);
        $schema->blocked($second);
        $first->commit;
        is($schema->result($second)->[0]{error_code}, 'quota_exceeded', 'the second does not, before its file is in place');
        is(one(blob_commit => @second)->{error_code}, 'quota_exceeded', 'nor without asking');
        is(one(blob_reserve => @first)->{error_code}, undef, 'the first may ask again');
        is(one(blob_commit => @first)->{error_code}, undef, 'and commits what it reserved');
        is(one(blob_reserve => @second)->{error_code}, 'quota_exceeded', 'committed bytes count as reserved ones did');
    };
}

subtest 'a reservation that is never committed' => sub {
    my @quota = (1000, $much);
    my $held = $dbh->selectrow_array('SELECT blob_bytes FROM vaults v JOIN devices d ON d.vault_id = v.id WHERE d.token_hash = $1', undef, $other);
    is(one(blob_reserve => $other, sha('first to reserve'), 1000 - $held, @quota)->{error_code}, undef, 'takes all that is left');
    is(one(blob_reserve => $other, sha('reserved late'), 1, @quota)->{error_code}, 'quota_exceeded', 'nothing is left');
    $dbh->do('UPDATE blob_reservations SET expires_at = now() WHERE sha256 = $1', undef, sha('first to reserve'));
    is(one(blob_reserve => $other, sha('reserved late'), 1, @quota)->{error_code}, undef, 'free again when its time is over');
    is(one(blob_commit => $other, sha('first to reserve'), 1000 - $held, @quota)->{error_code}, 'quota_exceeded', 'too late for the first');
    is(one(blob_commit => $other, sha('reserved late'), 1, @quota)->{error_code}, undef, 'the second commits');
};

subtest 'the same blob by two vaults at once' => sub {
    my $first  = $schema->connect;
    my $second = $schema->connect;
    my @blob   = (sha('same'), 5, $much, $much);
    one(blob_reserve => $_, @blob) for $one, $other;
    $first->begin_work;
    $schema->one($first, blob_commit => $one, @blob);
    $schema->start($second, blob_commit => $other, @blob);
    $schema->blocked($second);
    $first->commit;
    is($schema->result($second)->[0]{error_code}, undef, 'both');
    is(size($_, 'same'), 5, 'in its vault') for $one, $other;
    totals_are_right('after both');
};

subtest 'blobs that a push names' => sub {
    my $push = sub ($token, @blobs) {
        state $number = 0;
        my $row = one(sync_push => Verstak::Schema::push_parameters($token, [{ op_id => 'op' . ++$number }],
            blobs => [map { sha($_->[0]) } @blobs], sizes => [map { $_->[1] } @blobs]));
        return $row->{error_code} // $row->{answer};
    };
    like($push->($one, ['a', 10], ['b', 90], ['a', 10]), qr/"op1"/, 'held');
    is($push->($one, ['a', 10], ['nowhere', 1], ['b', 1]), 'blob_not_owned', 'not there');
    is($push->($other, ['a', 10]), 'blob_not_owned', 'of another vault');
    is($push->($one, ['a', 10], ['b', 91]), 'invalid_blob_reference', 'another size');
    is(one(sync_pull => $one, 0, 100, $much)->{server_sequence}, 1, 'a refused push stores nothing');
};

sub candidates ($grace = $hour) {
    return [map { $_->{sha256} } @{ $schema->call($dbh, janitor_blob_candidates => $grace, '\x', 1000) }];
}

sub age ($name) { $dbh->do(q{UPDATE blobs SET touched_at = now() - interval '2 hours' WHERE sha256 = $1::bytea}, undef, sha($name)); return }

subtest 'janitor: what nothing references' => sub {
    is_deeply(candidates(), [], 'not within the grace time');
    one(blob_reserve => $one, sha('left'), 7, $much, $much);
    age($_) for 'left', 'a';
    my ($left) = $dbh->selectrow_array('SELECT $1::bytea', undef, sha('left'));
    is_deeply(candidates(), [$left], 'a reservation that nobody came back for');
    is(one(janitor_blob_lock => sha('a'), $hour)->{removable}, 0, 'a referenced one is not removable, however old');
    is(one(janitor_blob_lock => sha('never'), $hour)->{removable}, 0, 'nor one that is not there');
    is(one(janitor_blob_lock => sha('left'), $hour)->{removable}, 1, 'removable');
    is_deeply($schema->call($dbh, janitor_blob_candidates => $hour, sha('left'), 10), [], 'the list goes on after a hash');
    one(blob_reserve => $one, sha('left'), 7, $much, $much);
    is(one(janitor_blob_lock => sha('left'), $hour)->{removable}, 0, 'touched since the list was made');
};

subtest 'janitor: an upload of the same content at the same moment' => sub {
    my $janitor = $schema->connect;
    my $upload  = $schema->connect;
    age('left');
    $janitor->begin_work;
    is($schema->one($janitor, janitor_blob_lock => sha('left'), $hour)->{removable}, 1, 'locked, its file is being unlinked');
    $schema->start($upload, blob_reserve => $one, sha('left'), 7, $much, $much);
    $schema->blocked($upload);
    is($schema->one($janitor, janitor_blob_delete => sha('left'))->{removed}, 1, 'the row goes');
    $janitor->commit;
    is($schema->result($upload)->[0]{error_code}, undef, 'the upload made a row of its own, before it looks for a file');
    is(one(blob_commit => $one, sha('left'), 7, $much, $much)->{error_code}, undef, 'and commits');
    is(size($one, 'left'), 7, 'there');
    totals_are_right('after the race');

    one(blob_reserve => $one, sha('late'), 7, $much, $much);
    age('late');
    $janitor->begin_work;
    $schema->one($janitor, janitor_blob_lock => sha('late'), $hour);
    $schema->start($upload, blob_commit => $one, sha('late'), 7, $much, $much);
    $schema->blocked($upload);
    $schema->one($janitor, janitor_blob_delete => sha('late'));
    $janitor->commit;
    is($schema->result($upload)->[0]{error_code}, 'blob_unavailable', 'a commit after the grace time finds no reservation');
    is(size($one, 'late'), undef, 'and makes no reference to nothing');

    one(blob_reserve => $one, sha('busy'), 7, $much, $much);
    age('busy');
    $upload->begin_work;
    $schema->one($upload, blob_commit => $one, sha('busy'), 7, $much, $much);
    is(one(janitor_blob_lock => sha('busy'), $hour)->{removable}, 0, 'a blob that is being committed is left alone');
    $upload->commit;
    is(one(janitor_blob_lock => sha('busy'), $hour)->{removable}, 0, 'and is referenced then');
    totals_are_right('after all');
};

subtest 'a deleted user' => sub {
    one(user_delete => 'anna');
    is(one(blob_reserve => $one, sha('x'), 1, $much, $much)->{auth}, 1, 'no more uploads');
    age($_) for qw(a b same);
    one('janitor_vaults', 3) while $dbh->selectrow_array('SELECT count(*) FROM deleted_vaults');
    totals_are_right('after the purge');
    is(size($other, 'same'), 5, 'what another vault references stays');
    is($dbh->selectrow_array('SELECT referenced FROM blobs WHERE sha256 = $1::bytea', undef, sha('same')), 1, 'marked so');
    is_deeply(candidates(), [], 'the rest gets its grace time');
    $dbh->do(q{UPDATE blobs SET touched_at = now() - interval '2 hours'});
    my $list = candidates();
    is(scalar @$list, one(admin_stats => @admin)->{orphan_blobs}, 'and is a candidate then');
    for my $sha (map { Verstak::Schema::bytes(unpack 'H*', $_) } @$list) {
        $dbh->begin_work;
        one(janitor_blob_delete => $sha) if one(janitor_blob_lock => $sha, $hour)->{removable};
        $dbh->commit;
    }
    is(one(admin_stats => @admin)->{orphan_blobs}, 0, 'all gone');
    totals_are_right('after the janitor');
};

done_testing;
