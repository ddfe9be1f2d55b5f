# Accounts, pairing, attempts, revoking, sessions and the admin's and operator's statements.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Verstak::Schema;

my $schema = Verstak::Schema->new;
my $dbh    = $schema->connect;

sub one ($name, @parameters) { return $schema->one($dbh, $name, @parameters) }
sub audit () { return $dbh->selectcol_arrayref('SELECT action FROM audit_log ORDER BY id') }

my $hour = 3_600_000;

subtest 'accounts' => sub {
    my $id = $schema->user($dbh, 'Anna', 'Anna@Example.org');
    is(one(user_add => 'anna', q(), 'h')->{error_code}, 'conflict', 'a name is taken whatever its case');
    is(one(user_add => 'ann2', 'anna@example.ORG', 'h')->{error_code}, 'conflict', 'an address, too');
    for my $bad (q(), 'a@b', ' a', "a\nb", 'x' x 129) {
        is_deeply([@{ one(user_add => $bad, q(), 'h') }{qw(error_code error_detail user_id)}],
            ['invalid_request', 'invalid user name', undef], 'not a name');
    }
    for my $bad ('a', '@b', 'a@', 'a@b@c', 'a b@c', "a\@b\n", 'x' x 320 . '@b') {
        is(one(user_add => 'someone', $bad, 'h')->{error_detail}, 'invalid e-mail address', 'not an address');
    }
    is_deeply([map { one(login_begin => $_, '192.0.2.9', 1000, $hour)->{user_id} } qw(anna ANNA anna@EXAMPLE.org), 'nobody', 'anna@', q()],
        [$id, $id, $id, undef, undef, undef], 'found by name and address');
    is_deeply(one(user_set_password => 'ANNA@example.org', 'new'), { user_id => $id, user_name => 'Anna' }, 'password');
    is_deeply(one(user_set_password => 'nobody', 'new'), { user_id => undef, user_name => undef }, 'of nobody');
    is_deeply(one(user_set_blocked => 'nobody', 't'), { user_id => undef, user_name => undef }, 'block nobody');
    is_deeply(one(user_delete => 'nobody'), { user_id => undef, user_name => undef }, 'delete nobody');
    is_deeply(audit(), [qw(user.create user.password)], 'audit');
};

subtest 'pairing' => sub {
    my $id = $schema->user($dbh, 'bert');
    my @pair = ('device', '1.0', '192.0.2.1');
    my $pair = sub ($name, $vault, $hash = 'hash of bert') {
        return one(pair_finish => $id, $hash, $vault, Verstak::Schema::device_id($name), Verstak::Schema::token($name), '01234567', 'cdef', @pair, 0, 1000, 1000);
    };
    my $begin = one(pair_begin => 'bert', '192.0.2.1', 5, $hour);
    is_deeply([@$begin{qw(wait_seconds user_id password_hash blocked confirmed)}], [0, $id, 'hash of bert', 0, 1], 'begin');
    is_deeply([@{ $pair->('d1', q()) }{qw(auth user_name vault_id)}], [0, 'bert', "legacy:$id"], 'default vault');
    is($pair->('d2', 'Work')->{vault_id}, 'Work', 'a vault by key');
    is($pair->('d3', 'Work')->{auth}, 0, 'a second device of it');
    is($pair->('d4', q())->{auth}, 0, 'a second device of the default vault');
    is_deeply($dbh->selectcol_arrayref('SELECT count(*) FROM devices WHERE user_id = $1 GROUP BY vault_id', undef, $id), [2, 2], 'two vaults of two devices');
    my $me = one(device_me => Verstak::Schema::token('d2'));
    is_deeply([@$me{qw(auth user_name device_id user_id device_name client_version last_seen revoked_at vault_id)}],
        [0, 'bert', Verstak::Schema::device_id('d2'), $id, 'device', '1.0', undef, undef, 'Work'], 'me');

    is($pair->('d5', q(), 'old hash')->{auth}, 1, 'password changed since it was checked');
    $dbh->do('UPDATE users SET confirmed_at = NULL WHERE id = $1', undef, $id);
    is($pair->('d5', q())->{auth}, 4, 'not confirmed');
    $dbh->do('UPDATE users SET confirmed_at = now(), blocked_at = now() WHERE id = $1', undef, $id);
    is($pair->('d5', q())->{auth}, 3, 'blocked');
    is_deeply([@{ one(pair_begin => 'bert', '192.0.2.1', 5, $hour) }{qw(blocked confirmed)}], [1, 1], 'begin says so');
    is(one(pair_finish => 0, 'h', q(), Verstak::Schema::device_id('d5'), Verstak::Schema::token('d5'), '01234567', 'cdef', @pair, 0, 1000, 1000)->{auth}, 1, 'no such user');
    is_deeply($dbh->selectcol_arrayref('SELECT count(*) FROM devices WHERE user_id = $1', undef, $id), [4], 'none of these made a device');
};

subtest 'a new vault paired by two devices at once' => sub {
    my $id = $schema->user($dbh, 'both');
    my $first  = $schema->connect;
    my $second = $schema->connect;
    $first->begin_work;
    $schema->pair($first, $id, 'both', 'both 1', 'new');
    $schema->start($second, pair_finish => $id, 'hash of both', 'new', Verstak::Schema::device_id('both 2'), Verstak::Schema::token('both 2'),
        '01234567', 'cdef', 'x', 'x', 'x', 0, 1000, 1000);
    $schema->blocked($second);
    $first->commit;
    is($schema->result($second)->[0]{auth}, 0, 'the second waits and pairs');
    is_deeply($dbh->selectcol_arrayref('SELECT count(*) FROM vaults WHERE user_id = $1', undef, $id), [1], 'with the same vault');
};

subtest 'attempts' => sub {
    my $id = $schema->user($dbh, 'carl', 'carl@example.org');
    my $take = sub ($login, $address, $limit = 3, $window = $hour) { return one(pair_begin => $login, $address, $limit, $window) };
    is_deeply([map { $take->('carl', "10.0.0.$_")->{wait_seconds} } 1 .. 3], [0, 0, 0], 'three of an account');
    my $refused = $take->('CARL@example.org', '10.0.0.4');
    ok($refused->{wait_seconds} > 3590 && $refused->{wait_seconds} <= 3600, 'the fourth waits for the rest of the window');
    is_deeply([@$refused{qw(user_id password_hash blocked confirmed)}], [(undef) x 4], 'and is told nothing');
    is($take->('carl', '10.0.0.5')->{wait_seconds} > 0, 1, 'a refused attempt does not make the window longer');

    is_deeply([map { $take->('nobody', "10.0.1.$_")->{wait_seconds} } 1 .. 3], [0, 0, 0], 'an unknown account is counted');
    cmp_ok($take->('Nobody', '10.0.1.4')->{wait_seconds}, '>', 0, 'the same way');
    is_deeply($dbh->selectcol_arrayref(q{SELECT subject FROM attempts WHERE subject LIKE '%obody%'}), [], 'what was typed is not stored');

    is_deeply([map { $take->("any$_", '10.0.2.1')->{wait_seconds} } 1 .. 3], [0, 0, 0], 'three of an address');
    cmp_ok($take->('other', '10.0.2.1')->{wait_seconds}, '>', 0, 'and no fourth, whatever the account');
    is($dbh->selectrow_array(q{SELECT count(*) FROM attempts WHERE subject = 'login:' || encode(sha256('other'), 'hex')}), 0,
        'an account is not charged for an address that is refused');
    is(one(login_begin => 'carl', '10.0.2.1', 3, $hour)->{wait_seconds}, 0, 'another class counts for itself');
    is_deeply([map { $take->("six$_", "2001:db8:0:7::$_")->{wait_seconds} } 1 .. 3], [0, 0, 0], 'three of an IPv6 network');
    cmp_ok($take->('six4', '2001:db8:0:7:ffff::4')->{wait_seconds}, '>', 0, 'and no fourth from another address of its 64 bits');
    is($take->('six5', '2001:db8:0:8::1')->{wait_seconds}, 0, 'the next network counts for itself');

    $dbh->do(q{UPDATE attempts SET expires_at = now() - interval '1 second' WHERE class = 'pair'});
    is($take->('carl', '10.0.2.1')->{wait_seconds}, 0, 'a new window after the old one');
    is($dbh->selectrow_array(q{SELECT count FROM attempts WHERE class = 'pair' AND subject = $1}, undef, "user:$id"), 1, 'counted from one');

    $take->('carl', '10.0.2.1') for 1 .. 2;
    cmp_ok($take->('carl', '10.0.2.1')->{wait_seconds}, '>', 0, 'full again');
    $schema->pair($dbh, $id, 'carl', 'carl 1');    # its address is 192.0.2.1
    is($take->('carl', '192.0.2.1')->{wait_seconds}, 0, 'a success gives back one of the account');
    cmp_ok($take->('carl', '10.0.3.1')->{wait_seconds}, '>', 0, 'and not more');
    $dbh->do(q{DELETE FROM attempts WHERE subject = $1}, undef, "user:$id");
    $take->("x$_", '192.0.2.1') for 1 .. 3;
    cmp_ok($take->('carl', '192.0.2.1')->{wait_seconds}, '>', 0, 'the address is full');
    $schema->pair($dbh, $id, 'carl', 'carl 2');
    is($take->('carl', '192.0.2.1')->{wait_seconds}, 0, 'a success clears the address');
    is(one(admin_login_begin => 'root', '10.9.9.9', 1, $hour)->{wait_seconds}, 0, 'admin');
    cmp_ok(one(admin_login_begin => 'root', '10.9.9.8', 1, $hour)->{wait_seconds}, '>', 0, 'admin, by name');
};

subtest 'attempts at the same moment' => sub {
    my $first  = $schema->connect;
    my $second = $schema->connect;
    $first->begin_work;
    is($schema->one($first, pair_begin => 'dora', '10.1.0.1', 1, $hour)->{wait_seconds}, 0, 'one goes on');
    $schema->start($second, pair_begin => 'dora', '10.1.0.2', 1, $hour);
    $schema->blocked($second);
    $first->commit;
    cmp_ok($schema->result($second)->[0]{wait_seconds}, '>', 0, 'the other does not');
};

subtest 'revoking another device' => sub {
    my $id = $schema->user($dbh, 'emil');
    my $other_user = $schema->user($dbh, 'eva');
    my $token = $schema->pair($dbh, $id, 'emil', 'emil 1', 'one');
    my $other = $schema->pair($dbh, $id, 'emil', 'emil 2', 'two');
    $schema->pair($dbh, $other_user, 'eva', 'eva 1');
    my $begin  = sub ($name) { return one(device_revoke_begin  => $token, Verstak::Schema::device_id($name), '10.2.0.1', 100, $hour) };
    my $finish = sub ($name, $hash = 'hash of emil') { return one(device_revoke_finish => $token, Verstak::Schema::device_id($name), $hash, '10.2.0.1') };
    is_deeply([@{ $begin->('emil 2') }{qw(auth user_name wait_seconds found password_hash)}], [0, 'emil', 0, 1, 'hash of emil'], 'one of the same user');
    for my $name ('eva 1', 'nowhere') {
        is_deeply([@{ $begin->($name) }{qw(auth found password_hash)}], [0, 0, 'hash of emil'], "not found: $name");
        is($finish->($name)->{revoked}, 0, 'not revoked');
    }
    is($finish->('emil 2', 'other hash')->{revoked}, 0, 'the password changed meanwhile');
    is(one(device_me => $other)->{auth}, 0, 'still there');
    is($finish->('emil 2')->{revoked}, 1, 'revoked');
    is(one(device_me => $other)->{auth}, 2, 'and out');
    is($finish->('emil 2')->{revoked}, 1, 'again');
    is(one(device_me => Verstak::Schema::token('eva 1'))->{auth}, 0, 'the other user is still in');
    is((scalar grep { $_ eq 'device.revoke' } @{ audit() }), 1, 'one audit row');
    cmp_ok(one(device_revoke_begin => $token, Verstak::Schema::device_id('emil 1'), '10.2.0.1', 3, $hour)->{wait_seconds}, '>', 0, 'attempts are limited');
};

my @admin = (Verstak::Schema::token('admin'), ['other:1', 'root:stamp']);

subtest 'admin sessions' => sub {
    my $expires = one(admin_session_create => $admin[0], 'root', 'stamp', $hour, '10.3.0.1', '\x')->{expires_at};
    is_deeply(one(admin_session_check => @admin), { auth => 0, user_name => 'root', expires_at => $expires }, 'valid');
    is(one(admin_session_check => $admin[0], ['root:new'])->{auth}, 1, 'another password in the configuration');
    is(one(admin_session_check => $admin[0], [])->{auth}, 1, 'no longer in the configuration');
    is(one(admin_session_check => $admin[0], ['x', 'root'])->{auth}, 1, 'a name alone');
    my @gone = (Verstak::Schema::token('gone'), $admin[1]);
    one(admin_session_create => $gone[0], 'root', 'stamp', $hour, '10.3.0.1', '\x');
    is(one(admin_session_delete => @gone)->{auth}, 0, 'logout');
    is(one(admin_session_check => @gone)->{auth}, 1, 'and out');
    one(admin_session_create => $gone[0], 'root', 'stamp', -1, '10.3.0.1', '\x');
    is(one(admin_session_check => @gone)->{auth}, 1, 'expired');
    is(one(janitor_sessions => 100)->{removed}, 1, 'the janitor takes it');
    is(one(admin_session_check => @admin)->{auth}, 0, 'and not the other');
};

subtest 'admin: users' => sub {
    my $made = one(admin_user_create => @admin, 'Zoe', 'zoe@example.org', 'h', '10.3.0.1');
    is_deeply([@$made{qw(auth user_name error_code)}], [0, 'root', undef], 'create');
    is(one(admin_user_create => @admin, 'zoe', q(), 'h', '10.3.0.1')->{error_code}, 'conflict', 'taken');
    is_deeply([map { @{ one(admin_user_block => @admin, $made->{user_id}, '10.3.0.1') }{qw(found blocked)} } 1 .. 2], [1, 1, 1, 0], 'block and unblock');
    is_deeply([@{ one(admin_user_block => @admin, 0, '10.3.0.1') }{qw(auth found blocked)}], [0, 0, undef], 'block nobody');

    my $list = sub ($filter, $sort, $order, $page = 1, $per_page = 100) { return $schema->call($dbh, admin_users => @admin, $filter, $sort, $order, $page, $per_page) };
    my $names = sub { return [map { $_->{username} } @{ $list->(@_) }] };
    my @all = qw(Anna bert both carl emil eva Zoe);
    is_deeply($names->(q(), 'username', 'asc'), \@all, 'by name, whatever the case');
    is_deeply($names->(q(), 'username', 'desc'), [reverse @all], 'backwards');
    is_deeply($names->(q(), 'username', 'asc', 2, 3), [@all[3 .. 5]], 'second page');
    is_deeply($names->(q(), $_, 'asc'), $names->(q(), 'id', 'asc'), "$_ is known") for 'created_at';
    is_deeply($names->(q(), 'email', 'desc'), [qw(Zoe carl Anna eva emil both bert)], 'by address');
    is_deeply($names->(q(), 'blocked', 'desc')->[0], 'bert', 'by blocked');
    is_deeply([map { $_->{devices} } @{ $list->(q(), 'devices', 'desc') }], [4, 2, 2, 1, 1, 0, 0], 'by devices');
    one(device_touch => Verstak::Schema::token('eva 1'), 'x');
    is_deeply($names->(q(), 'last_seen', 'desc')->[0], 'eva', 'by last_seen');
    is_deeply($names->('EXAMPLE', 'username', 'asc'), [qw(Anna carl Zoe)], 'filter');
    is_deeply($names->($_, 'username', 'asc'), [undef], "filter takes $_ as it is") for '%', '_', q('), '\\';
    my ($empty) = @{ $list->(q(), 'username', 'asc', 2_000_000_000, 100) };
    is_deeply([@$empty{qw(auth total id username email)}], [0, 7, undef, undef, undef], 'beyond the last page');
    is($list->('zoe', 'nothing; DROP TABLE users', 'x')->[0]{username}, 'Zoe', 'an unknown sort');
};

subtest 'stats' => sub {
    my $token = Verstak::Schema::token('eva 1');
    $schema->one($dbh, sync_push => Verstak::Schema::push_parameters($token, [map { { op_id => "o$_" } } 1 .. 50]));
    $dbh->do(q{UPDATE operations SET received_at = now() - interval '2 days' WHERE sequence <= 17});
    my $stats = one(admin_stats => @admin);
    my ($audit) = $dbh->selectrow_array('SELECT count(*) FROM audit_log');
    like(delete $stats->{database_bytes}, qr/^[1-9]\d{6,}$/a, 'database_bytes');
    like(delete $stats->{last_sync_activity}, qr/^20/, 'last_sync_activity');
    is_deeply($stats, {
        auth => 0, user_name => 'root', users => 7, active_users => 6, blocked_users => 1, unconfirmed_users => 0, active_devices => 10,
        revoked_devices => 1, vaults => 7, operations => 50, operations_24h => 33, blobs => 0, blob_references => 0, orphan_blobs => 0,
        audit_events => $audit, blob_bytes => 0, mails_waiting => 1, mails_failed => 0,
    }, 'counts');
};

subtest 'operator' => sub {
    my $rows = $schema->call($dbh, user_list => 'ev');
    is_deeply([map { @$_{qw(username email confirmed blocked devices operations blob_bytes)} } @$rows], ['eva', q(), 1, 0, 1, 50, 0], 'list');
    $dbh->do(q{INSERT INTO user_sessions (token_hash, user_id, expires_at) SELECT sha256('s'), id, 'infinity' FROM users WHERE name = 'eva'});
    one(user_set_password => 'eva', 'new');
    is($dbh->selectrow_array('SELECT count(*) FROM user_sessions'), 0, 'a new password ends the sessions');
    ok(one(user_delete => 'EVA')->{user_id}, 'delete');
    is_deeply($schema->call($dbh, user_list => 'eva'), [], 'gone');
    is(one(sync_pull => Verstak::Schema::token('eva 1'), 0, 1, 1)->{auth}, 1, 'its device, too');
    is(one(janitor_vaults => 30)->{removed}, 30, 'the log goes piece by piece');
    is(one(janitor_vaults => 30)->{removed}, 21, 'to the end');
    is(one(janitor_vaults => 30)->{removed}, 0, 'then nothing');
    is_deeply([map { $dbh->selectrow_array("SELECT count(*) FROM $_") } qw(operations deleted_vaults)], [0, 0], 'nothing is left');
};

subtest 'janitor: rows past their time' => sub {
    $dbh->do('TRUNCATE attempts, audit_log');
    one(audit_add => 'user:x', "a$_", 's', 'h', 'd') for 1 .. 5;
    $dbh->do(q{UPDATE audit_log SET at = now() - interval '2 hours' WHERE action <= 'a3'});
    is_deeply([map { one(janitor_audit => $hour, 2)->{removed} } 1 .. 3], [2, 1, 0], 'audit, in batches');
    is_deeply(audit(), [qw(a4 a5)], 'the newer stay');
    one(pair_begin => 'x', "10.4.0.$_", 5, $_ == 1 ? $hour : 0) for 1 .. 3;
    is(one(janitor_attempts => 10)->{removed}, 2, 'attempts');
    my $token = $schema->pair($dbh, $schema->user($dbh, 'frieda'), 'frieda', 'frieda');
    $schema->one($dbh, sync_push => Verstak::Schema::push_parameters($token, [{ op_id => $_ }], key => $_)) for 1 .. 3;
    $dbh->do(q{UPDATE idempotency_keys SET created_at = now() - interval '2 hours' WHERE key < '3'});
    is_deeply([map { one(janitor_idempotency => $hour, 10)->{removed} } 1 .. 2], [2, 0], 'idempotency keys');
    $dbh->do(q{INSERT INTO email_tokens (token_hash, purpose, email, expires_at)
               SELECT sha256(n::text::bytea), 'reset', 'a@b', now() + n * interval '1 hour' FROM generate_series(-1, 1, 2) n});
    is(one(janitor_tokens => 10)->{removed}, 1, 'e-mail tokens');
};

subtest 'janitor: a batch looks at its own rows only' => sub {
    my $id = $schema->user($dbh, 'gustav');
    my @rows = (
        q{audit_log (at, actor, action) SELECT at, 'a', 'b'},
        q{attempts (class, subject, count, expires_at) SELECT 'c', n, 1, at},
        q{idempotency_keys (vault_id, key, answer, created_at) SELECT 1, n, 'x', at},
        q{email_tokens (token_hash, purpose, email, expires_at) SELECT sha256(('x' || n)::bytea), 'reset', 'a@b', at},
        qq{user_sessions (token_hash, user_id, expires_at) SELECT sha256(n::text::bytea), $id, at},
        qq{email_outbox (template, user_id, recipient, locale, state, finished_at, expires_at) SELECT 'device_paired', $id, 'x', 'en', 'sent', at, at},
    );
    $dbh->do("INSERT INTO $_ FROM generate_series(1, 20000) n, LATERAL (SELECT now() - n * interval '1 minute') AS t (at)") for @rows;
    $dbh->do("ANALYZE $_") for map { (split)[0] } @rows;
    my $scanned = sub { return $dbh->selectrow_array('SELECT sum(seq_tup_read) FROM pg_stat_xact_user_tables') };
    for my $call ([janitor_audit => 0], [janitor_attempts => ()], [janitor_idempotency => 0], [janitor_tokens => ()], [janitor_sessions => ()], [janitor_mail => 0]) {
        $dbh->begin_work;
        my $before = $scanned->();
        is(one(@$call, 100)->{removed}, 100, $call->[0]);
        cmp_ok($scanned->() - $before, '<', 1000, 'without reading its table from end to end');
        $dbh->rollback;
    }
};

subtest 'janitor: one at work' => sub {
    is(one(janitor_lease => 'a', $hour)->{acquired}, 1, 'taken');
    is(one(janitor_lease => 'b', $hour)->{acquired}, 0, 'not by another');
    is(one(janitor_lease => 'a', $hour)->{acquired}, 1, 'renewed');
    is(one(janitor_release => 'b')->{released}, 0, 'not given back by another');
    is(one(janitor_release => 'a')->{released}, 1, 'given back');
    is(one(janitor_lease => 'b', -1)->{acquired}, 1, 'taken by another');
    is(one(janitor_lease => 'a', $hour)->{acquired}, 1, 'taken over once it is over');
};

done_testing;
