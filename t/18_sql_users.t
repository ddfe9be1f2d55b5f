# Accounts that people make and look after, as SQL: register, confirm, forgot, reset, sessions and every change that needs one;
# the admin's changes of accounts; and all of it at the same moment.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA qw(sha256_hex);
use POSIX ();
use Test::More;
use Time::HiRes qw(time);
use Verstak::Schema;

my $schema = Verstak::Schema->new;
my $dbh    = $schema->connect;
my $second = $schema->connect;
my $hour   = 3_600_000;
my $from   = '10.0.0.1';
my @admin  = (Verstak::Schema::token('admin'), ['root:stamp']);

sub one ($name, @parameters) { return $schema->one($dbh, $name, @parameters) }
sub some ($name, $keys, @parameters) { return [@{ one($name, @parameters) }{@$keys}] }
sub token ($name) { return Verstak::Schema::token($name) }
sub secret ($name) { return sha256_hex("secret $name") }

one(admin_session_create => $admin[0], 'root', 'stamp', $hour, $from, '\x');

# The last audit rows as "actor action subject detail".
sub audit ($number = 1) {
    return [reverse @{ $dbh->selectcol_arrayref(q{SELECT concat_ws(' ', actor, action, subject, nullif(detail, '')) FROM audit_log ORDER BY id DESC LIMIT $1}, undef, $number) }];
}

# Waiting mails as "template recipient detail".
sub mails ($to = q()) {
    return $dbh->selectcol_arrayref(q{SELECT concat_ws(' ', template, recipient, nullif(detail, '')) FROM email_outbox
                                      WHERE finished_at IS NULL AND strpos(recipient, $1) > 0 ORDER BY id}, undef, $to);
}

sub register_parameters ($name, $email = "$name\@example.org", $token = $name, $registration = q()) {
    return ($name, $email, "hash of $name", 'ru', token($token), secret($token), $from, $registration);
}
sub register (@parameters) { return some(register_finish => [qw(error_code error_detail user_id)], register_parameters(@parameters)) }
sub confirm ($token) { return some(confirm => [qw(confirmed user_name)], token($token), $from) }
sub forgot ($email, $token) { return one(forgot => $email, 'en', token($token), secret($token), $from, 1000, $hour)->{wait_seconds} }
sub reset_by ($token, $hash = 'new hash') { return some(reset_finish => [qw(done user_name)], token($token), $hash, $from) }
sub usable ($token) { return one(reset_begin => token($token), $from, 1000, $hour)->{valid} }
sub block ($name, $blocked) { return one(user_set_blocked => $name, $blocked ? 't' : 'f') }
sub account ($name) { return $dbh->selectrow_hashref('SELECT * FROM users WHERE name = $1', undef, $name) }
sub age ($name, $interval) { return $dbh->do("UPDATE users SET created_at = created_at - interval '$interval' WHERE name = \$1", undef, $name) }
sub empty () { $dbh->do('TRUNCATE email_outbox, email_tokens, attempts, settings'); return }

# A confirmed user with an address, and its id.
sub user ($name) { return $schema->user($dbh, $name, "$name\@example.org") }

# A session of the user, named by its token.
sub login ($name, $token, %option) {
    return some(user_login => [qw(auth user_name)], account($name)->{id}, $option{hash} // "hash of $name", token($token), $option{lifetime} // $hour,
        exists $option{former} ? token($option{former}) : '\x', $from);
}
sub auth ($token) { return one(user_me => token($token))->{auth} }

# Starts a statement on the second connection while the first holds what $first took; then $end ('commit', 'rollback').
sub while_open ($first, $end, $name, @parameters) {
    $dbh->begin_work;
    my $ours = $first->();
    $schema->start($second, $name, @parameters);
    $schema->blocked($second);
    $dbh->$end;
    return ($ours, $schema->result($second)->[0]);
}

subtest 'register: who may' => sub {
    empty();
    my $begin = sub ($email, $address = $from, $limit = 3, $registration = q()) {
        return some(register_begin => [qw(wait_seconds is_open)], 'name', $email, $address, $limit, $hour, $registration);
    };
    is_deeply($begin->('a@b'), [0, 1], 'anybody');
    $begin->('A@B', '10.0.1.1');
    $begin->('a@b', '10.0.1.2');
    cmp_ok($begin->('a@B', '10.0.1.3')->[0], '>', 3590, 'an e-mail address a few times');
    is($begin->('c@d')->[0] + $begin->('e@f')->[0], 0, 'an address');
    cmp_ok($begin->('g@h')->[0], '>', 3590, 'a few times');
    is_deeply($dbh->selectcol_arrayref(q{SELECT DISTINCT class FROM attempts}), ['register'], 'counted for itself');
    is_deeply($begin->('i@j', '10.0.2.1', 1, 'closed'), [0, 0], 'closed by the configuration');
    $dbh->do(q{INSERT INTO settings (name, value) VALUES ('registration', 'closed')});
    is_deeply($begin->('i@j', '10.0.2.1', 1), [0, 0], 'closed by an admin');
    is_deeply(register('closed'), ['forbidden', 'registration is closed', undef], 'nobody gets in');
    is_deeply([account('closed'), mails()], [undef, []], 'nothing is made');
    is_deeply($begin->('i@j', '10.0.2.1', 1, 'open'), [0, 1], 'the configuration goes before; nothing was counted while closed');
    is(register('anna', 'anna@example.org', 'anna', 'open')->[0], undef, 'registered');
};

subtest 'register and confirm' => sub {
    empty();
    my $id = register('Bert', 'Bert@Example.org', 'bert')->[2];
    like($id, qr/\A\d+\z/, 'made');
    is_deeply(audit(), ['user:Bert user.register user:Bert'], 'audit');
    is_deeply([@{ account('Bert') }{qw(email locale confirmed_at)}], ['Bert@Example.org', 'ru', undef], 'not confirmed');
    my $mail = one(mail_claim => 'm', $hour, 10, 'x');
    is_deeply([@$mail{qw(template locale recipient user_name secret detail)}], ['confirm', 'ru', 'Bert@Example.org', 'Bert', secret('bert'), q()], 'the mail');
    is($dbh->selectrow_array(q{SELECT expires_at - created_at FROM email_tokens}), '2 days', 'for 48 hours');
    is($dbh->selectrow_array('SELECT count(*) FROM email_tokens t WHERE t::text LIKE $1', undef, '%' . secret('bert') . '%'), 0, 'the token is kept as a hash');
    is(login('Bert', 's')->[0], 4, 'no login');
    is_deeply(audit(), ['user:Bert user.login.refused user:Bert email not confirmed'], 'audit');

    is_deeply(confirm('guessed'), [0, undef], 'a guessed token');
    forgot('bert@example.org', 'reset bert');
    is_deeply(confirm('reset bert'), [0, undef], 'one for something else');
    block('Bert', 1);
    is_deeply(confirm('bert'), [0, undef], 'not while blocked');
    block('Bert', 0);
    $dbh->do(q{UPDATE email_tokens SET expires_at = now() WHERE purpose = 'confirm'});
    is_deeply(confirm('bert'), [0, undef], 'an expired one');
    $dbh->do(q{UPDATE email_tokens SET expires_at = now() + interval '1 minute' WHERE purpose = 'confirm'});
    $dbh->do(q{UPDATE users SET email = 'elsewhere@example.org' WHERE name = 'Bert'});
    is_deeply(confirm('bert'), [0, undef], 'one for another address than the account has, however that came');
    $dbh->do(q{UPDATE users SET email = 'Bert@Example.org' WHERE name = 'Bert'});
    is(account('Bert')->{confirmed_at}, undef, 'nothing is confirmed by all that');
    is_deeply(confirm('bert'), [1, 'Bert'], 'confirmed');
    is_deeply(audit(), ['user:Bert user.confirm user:Bert'], 'audit');
    is_deeply(confirm('bert'), [0, undef], 'once');
    is_deeply(login('Bert', 's'), [0, 'Bert'], 'login');

    for my $case (['bert', 'other@example.org'], ['other', 'BERT@example.ORG']) {
        is_deeply(register(@$case, 'again'), ['conflict', 'user name or e-mail address is taken', undef], "taken: @$case");
    }
    for my $case (['a@b', 'x@y', 'invalid user name'], ['new', 'x', 'invalid e-mail address'], ['new', q(), 'invalid e-mail address']) {
        is_deeply(register(@$case[0, 1], 'again'), ['invalid_request', $case->[2], undef], "$case->[2]");
    }
    is($dbh->selectrow_array('SELECT count(*) FROM email_tokens WHERE token_hash = $1', undef, token('again')), 0, 'without a token');

    my ($first, $then) = while_open(sub { register('carla', 'c@example.org', 'c1') }, 'commit', register_finish => register_parameters('CARLA', 'd@example.org', 'c2'));
    is_deeply([$first->[0], $then->{error_code}], [undef, 'conflict'], 'two want one name at once: one gets it');
    ($first, $then) = while_open(sub { register('e', 'e@example.org', 'e1') }, 'commit', register_finish => register_parameters('f', 'E@example.org', 'e2'));
    is_deeply([$first->[0], $then->{error_code}], [undef, 'conflict'], 'or one address');
    ($first, $then) = while_open(sub { register('g', 'g@example.org', 'g1') }, 'rollback', register_finish => register_parameters('G', 'g@example.org', 'g2'));
    is_deeply([$then->{error_code}, mails('g@example.org')], [undef, ['confirm g@example.org']], 'the other, when the first fails');
    ($first, $then) = while_open(sub { confirm('g2') }, 'commit', confirm => token('g2'), $from);
    is_deeply([$first->[0], $then->{confirmed}], [1, 0], 'a link used twice at once confirms once');
    ($first, $then) = while_open(sub { one(user_delete => 'carla') }, 'commit', confirm => token('c1'), $from);
    is($then->{confirmed}, 0, 'nor an account that is being deleted');
};

subtest 'names and addresses that were never confirmed' => sub {
    empty();
    register('squatter', 'victim@example.org', 'squat 1');
    age('squatter', '47 hours 59 minutes');
    is(register('new', 'victim@example.org', 'new')->[0], 'conflict', 'are kept for 48 hours');
    age('squatter', '1 minute');
    block('squatter', 1);
    is(register('new', 'victim@example.org', 'new')->[0], 'conflict', 'a blocked account stays');
    block('squatter', 0);
    my $id = account('squatter')->{id};
    $dbh->do(q{INSERT INTO vaults (user_id, vault_key) VALUES ($1, 'v')}, undef, $id);
    is(register('new', 'victim@example.org', 'new')->[0], 'conflict', 'and one with a vault');
    $dbh->do('DELETE FROM vaults WHERE user_id = $1', undef, $id);
    is(register('new', 'not an address', 'new')->[0], 'invalid_request', 'a bad registration');
    ok(account('squatter'), 'removes nobody');
    is(register('new', 'Victim@example.org', 'new')->[0], undef, 'then it makes room');
    is_deeply([account('squatter'), mails('ictim')], [undef, ['confirm Victim@example.org']], 'with its mail');
    is_deeply(audit(2), [' user.delete user:squatter', 'user:new user.register user:new'], 'audit');
    is(confirm('new')->[0], 1, 'confirmed');
    age('new', '10 days');
    is(register('newer', 'victim@example.org', 'newer')->[0], 'conflict', 'a confirmed one stays for ever');

    register('by name', 'a1@example.org', 'b1');
    register('other', 'by-address@example.org', 'b2');
    age($_, '3 days') for 'by name', 'other';
    is(register('By Name', 'by-address@example.org', 'b3')->[0], undef, 'name and address of two');
    is_deeply([account('by name'), account('other')], [undef, undef], 'both are gone');

    register('once', 'once@example.org', 'o1');
    age('once', '3 days');
    my ($first, $then) = while_open(sub { register('once', 'once2@example.org', 'o2') }, 'commit', register_finish => register_parameters('Once', 'once@example.org', 'o3'));
    is_deeply([$first->[0], $then->{error_code}, account('once')->{email}], [undef, 'conflict', 'once2@example.org'], 'two take one over at once: one gets it');
    age('once', '3 days');
    ($first, $then) = while_open(sub { confirm('o2') }, 'commit', register_finish => register_parameters('once', 'once4@example.org', 'o4'));
    is_deeply([$first->[0], $then->{error_code}], [1, 'conflict'], 'one that is confirmed at this moment stays');
};

subtest 'forgot: the same work for every address' => sub {
    empty();
    user('known');
    user('blocked');
    block('blocked', 1);
    register('unconfirmed', 'unconfirmed@example.org', 'unconfirmed');
    my $work = sub ($email) {
        my $counters = sub {
            return { map { $_->[0] => [@$_[1 .. 7]] } @{ $dbh->selectall_arrayref(
                'SELECT relname, seq_scan, idx_scan, seq_tup_read, idx_tup_fetch, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_xact_user_tables') } };
        };
        $dbh->begin_work;
        my $before = $counters->();
        forgot($email, $email);
        my $after = $counters->();
        my %done = map { my $table = $_; $table => [map { ($after->{$table}[$_] // 0) - ($before->{$table}[$_] // 0) } 0 .. 6] } keys %$after;
        my @rows = $dbh->selectrow_array(q{SELECT o.template, o.locale, o.user_id, o.secret, t.purpose, t.user_id, t.expires_at - t.created_at, a.actor, a.subject, a.detail
            FROM email_outbox o JOIN email_tokens t USING (token_hash), audit_log a WHERE o.recipient = $1 AND t.purpose = 'reset' AND a.id = (SELECT max(id) FROM audit_log)}, undef, $email);
        $dbh->rollback;
        is($rows[3], secret($email), "a mail with a token for $email");
        splice @rows, 3, 1;
        return [\%done, \@rows];
    };
    $work->('warm@example.org') for 1 .. 7;
    my $known = $work->('known@example.org');
    is_deeply([@{ $known->[0]{users} // [(0) x 7] }], [(0) x 7], 'users are not looked at');
    is_deeply([map { $known->[0]{$_}[4] } qw(email_outbox email_tokens attempts audit_log)], [1, 1, 2, 1], 'one mail, one token, two counts, one audit row');
    is_deeply($work->("$_\@example.org"), $known, "$_: the same") for qw(nobody blocked unconfirmed);
    is_deeply($known->[1], ['reset', 'en', undef, 'reset', undef, '01:00:00', q(), q(), q()], 'for an hour; audit without a name');

    is(forgot($_, "bad $_"), 0, 'what is no address is not told from others') for 'x', q(), 'a@b@c', "a\@b\n", 'x@' . 'y' x 400;
    is($dbh->selectrow_array(q{SELECT count(*) FROM email_outbox WHERE template = 'reset'}), 0, 'but has no mail');
    my $limited = sub ($email, $address) { return one(forgot => $email, 'en', token("$email $address"), 's', $address, 2, $hour)->{wait_seconds} };
    is_deeply([map { $limited->('X@y', "10.0.3.$_") } 1 .. 2], [0, 0], 'twice');
    cmp_ok($limited->('x@Y', '10.0.3.3'), '>', 3590, 'an address is mailed to so often');
    is_deeply([map { $limited->("x$_\@y", '10.0.4.1') } 1 .. 2], [0, 0], 'twice');
    cmp_ok($limited->('z@y', '10.0.4.1'), '>', 3590, 'by one client');
    is($dbh->selectrow_array(q{SELECT count(*) FROM email_outbox WHERE template = 'reset'}), 4, 'refused ones put nothing into the outbox');
};

subtest 'reset' => sub {
    empty();
    my $id = user('dora');
    my $device = $schema->pair($dbh, $id, 'dora', 'dora 1');
    my $other = user('otherd');
    login('dora', "dora $_") for 1, 2;
    login('otherd', 'otherd', hash => 'hash of otherd');
    forgot('DORA@example.org', "r$_") for 1 .. 3;
    forgot('nobody@example.org', 'r nobody');
    forgot('late@example.org', 'r late');
    user('late');
    register('dave', 'dave@example.org', 'dave');
    is_deeply([map { usable($_) } 'r1', 'r2', 'r nobody', 'r late', 'guessed', 'dave'], [1, 1, 0, 0, 0, 0], 'which tokens are good');
    is_deeply(reset_by($_), [0, undef], "$_: nothing") for 'r nobody', 'r late', 'guessed', 'dave';
    block('dora', 1);
    is_deeply([usable('r1'), @{ reset_by('r1') }], [0, 0, undef], 'not of a blocked account');
    block('dora', 0);
    login('dora', "dora $_") for 1, 2;
    $dbh->do(q{UPDATE email_tokens SET expires_at = now() WHERE token_hash = $1}, undef, token('r3'));
    is_deeply([usable('r3'), @{ reset_by('r3') }], [0, 0, undef], 'nor an expired one');
    is(account('dora')->{password_hash}, 'hash of dora', 'the password is the old one');
    some(user_email_change => [], token('dora 1'), 'hash of dora', 'thief@example.org', token('thief'), secret('thief'), $from, 1000, $hour);

    is_deeply(reset_by('r1', 'reset hash'), [1, 'dora'], 'reset');
    is(account('dora')->{password_hash}, 'reset hash', 'a new password');
    is_deeply(audit(), ['user:dora user.reset user:dora'], 'audit');
    is_deeply([map { auth($_) } 'dora 1', 'dora 2', 'otherd'], [1, 1, 0], 'all sessions of the user have ended, no other');
    is(one(device_me => $device)->{auth}, 0, 'devices go on');
    is_deeply([map { usable($_) } 'r1', 'r2', 'r3'], [0, 0, 0], 'all links to the address are used up');
    is(confirm('thief')->[0], 0, 'and a change of address that was asked for before');
    is_deeply(mails('dora'), ['password_changed dora@example.org 10.0.0.1'], 'a notice that says from where, no reset any more');
    is(mails('thief')->[0], undef, 'no mail with the token of the change');
    is_deeply(reset_by($_), [0, undef], 'no second time') for 'r1', 'r2';

    is(account('dave')->{confirmed_at}, undef, 'not confirmed yet');
    forgot('dave@example.org', 'r dave');
    is_deeply(reset_by('r dave', 'hash of dave'), [1, 'dave'], 'an account that was not confirmed');
    is_deeply([login('dave', 'dave s')->[0], confirm('dave')->[0]], [0, 0], 'is now; the other link is void');
    is_deeply(mails('dave'), ['password_changed dave@example.org 10.0.0.1'], 'and taken back');

    forgot('dora@example.org', $_) for 'q1', 'q2';
    my ($first, $then) = while_open(sub { reset_by('q1', 'q1') }, 'commit', reset_finish => token('q2'), 'q2', $from);
    is_deeply([$first->[0], $then->{done}, account('dora')->{password_hash}], [1, 0, 'q1'], 'two links at once: one');
    forgot('dora@example.org', 'q3');
    ($first, $then) = while_open(sub { block('dora', 1) }, 'commit', reset_finish => token('q3'), 'q3', $from);
    is_deeply([$then->{done}, account('dora')->{password_hash}], [0, 'q1'], 'not when blocked at this moment');
    block('dora', 0);
    ($first, $then) = while_open(sub { one(user_delete => 'dora') }, 'commit', reset_finish => token('q3'), 'q3', $from);
    is($then->{done}, 0, 'nor when deleted');

    empty();
    forgot('late@example.org', 'many');
    my $limited = sub ($token, $address) { return some(reset_begin => [qw(wait_seconds valid)], token($token), $address, 2, $hour) };
    is_deeply([map { $limited->('many', "10.0.5.$_") } 1 .. 2], [([0, 1]) x 2], 'twice');
    my $refused = $limited->('many', '10.0.5.3');
    ok($refused->[0] > 3590 && !defined $refused->[1], 'an e-mail address may be tried so often');
    is_deeply([map { $limited->("g$_", '10.0.6.1') } 1 .. 2], [([0, 0]) x 2], 'twice');
    cmp_ok($limited->('g3', '10.0.6.1')->[0], '>', 3590, 'by one client');
};

subtest 'sessions' => sub {
    empty();
    my $id = user('emil');
    is_deeply(login('emil', 'e1'), [0, 'emil'], 'login');
    is_deeply(audit(), ['user:emil user.login user:emil'], 'audit');
    my $me = one(user_me => token('e1'));
    ok(delete $me->{created_at} && delete $me->{expires_at}, 'times');
    is_deeply($me, { auth => 0, user_name => 'emil', user_id => $id, email => 'emil@example.org', new_email => q(), locale => 'en' }, 'me');
    is(login('emil', 'e2', former => 'e1')->[0], 0, 'login with a session');
    is_deeply([auth('e1'), auth('e2')], [1, 0], 'replaces it');
    is(login('emil', 'e3', hash => 'wrong')->[0], 1, 'password changed since it was checked');
    is(some(user_login => ['auth'], 0, 'h', token('e3'), $hour, '\x', $from)->[0], 1, 'no such user');
    is(auth('e3'), 1, 'no session');
    block('emil', 1);
    is_deeply([auth('e2'), login('emil', 'e4')->[0]], [1, 3], 'blocked: sessions end, no login');
    is_deeply(audit(), ['user:emil user.login.refused user:emil account blocked'], 'audit');
    block('emil', 0);
    is(auth('e2'), 1, 'nor do they come back');
    login('emil', $_) for 'e5' .. 'e7';
    login('emil', 'e8', lifetime => -1);
    is(auth('e8'), 1, 'a session ends by itself');
    is(one(user_logout => token('e5'), $from)->{auth}, 0, 'log out');
    is_deeply([auth('e5'), auth('e6'), @{ audit() }], [1, 0, 'user:emil user.logout user:emil'], 'of one session');
    is_deeply(some(user_logout_all => [qw(auth ended)], token('e6'), $from), [0, 3], 'log out everywhere');
    is_deeply([auth('e6'), auth('e7'), @{ audit() }], [1, 1, 'user:emil user.logout_all user:emil'], 'of all');
    is(one(user_logout => token('e6'), $from)->{auth}, 1, 'twice');
    my ($first, $then) = while_open(sub { block('emil', 1) }, 'commit', user_login => $id, 'hash of emil', token('e9'), $hour, '\x', $from);
    is_deeply([$then->{auth}, $dbh->selectrow_array('SELECT count(*) FROM user_sessions WHERE user_id = $1', undef, $id)], [3, 0], 'login while the account is being blocked');
    block('emil', 0);
    login('emil', 'e10');
    # Only a lock makes this possible: blocking ends the sessions.
    $dbh->do('UPDATE users SET blocked_at = now() WHERE id = $1', undef, $id);
    for my $case ([user_me => ()], [user_devices => ()], [user_password_begin => $from, 5, $hour], [user_device_revoke => 'd', 'hash of emil', $from],
        [user_password_change => 'hash of emil', 'x', $from], [user_email_change => 'hash of emil', 'x@y', token('x'), 'x', $from, 5, $hour],
        [user_logout => $from], [user_logout_all => $from], [user_delete_self => 'hash of emil', $from]) {
        my ($name, @rest) = @$case;
        my $row = one($name => token('e10'), @rest);
        is_deeply([delete @$row{qw(auth user_name)}, grep { defined } values %$row], [3, 'emil'], "$name of a blocked user");
    }
    is(account('emil')->{password_hash}, 'hash of emil', 'did nothing');
};

subtest 'devices' => sub {
    empty();
    my $id = user('frieda');
    my $other = user('fritz');
    is($schema->pair($dbh, $id, 'frieda', "frieda $_", 'v', notice => $_ > 1 ? 't' : 'f'), token("frieda $_"), 'pair') for 1 .. 3;
    is_deeply(mails(), ['device_paired frieda@example.org device frieda 2', 'device_paired frieda@example.org device frieda 3'], 'with a notice, where it is wanted');
    my $busy = user('franz');
    $schema->pair($dbh, $busy, 'franz', "franz $_", q(), notice => 't') for 1 .. 25;
    is(scalar @{ mails('franz@') }, 20, 'but not without end');
    $schema->pair($dbh, $other, 'fritz', 'fritz 1');
    login('frieda', 'f1');
    login('fritz', 'f2');
    is_deeply([map { $_->{name} } @{ $schema->call($dbh, user_devices => token('f1')) }], ['device frieda 1', 'device frieda 2', 'device frieda 3'], 'the user\'s own');
    is(one(user_devices => token('f2'))->{device_id}, Verstak::Schema::device_id('fritz 1'), 'of another');
    is_deeply(some(user_password_begin => [qw(auth wait_seconds user_id password_hash)], token('f1'), $from, 5, $hour), [0, 0, $id, 'hash of frieda'], 'begin');
    my $revoke = sub ($device, $hash = 'hash of frieda') { return one(user_device_revoke => token('f1'), Verstak::Schema::device_id($device), $hash, $from)->{revoked} };
    is_deeply([map { $revoke->($_) } 'fritz 1', 'nowhere'], [0, 0], 'not somebody else\'s');
    is($revoke->('frieda 1', 'old hash'), 0, 'not after another password');
    is_deeply([map { one(device_me => token($_))->{auth} } 'frieda 1', 'fritz 1'], [0, 0], 'all are in');
    is_deeply([$revoke->('frieda 1'), one(device_me => token('frieda 1'))->{auth}, $revoke->('frieda 1')], [1, 2, 1], 'revoked, and again');
    is_deeply(audit(), ['user:frieda device.revoke device:' . Verstak::Schema::device_id('frieda 1')], 'audit, once');
    my ($first, $then) = while_open(sub { one(sync_push => Verstak::Schema::push_parameters(token('frieda 2'), [{ op_id => 'o' }])) }, 'commit',
        user_device_revoke => token('f1'), Verstak::Schema::device_id('frieda 2'), 'hash of frieda', $from);
    is_deeply([$then->{revoked}, one(sync_push => Verstak::Schema::push_parameters(token('frieda 2'), [{ op_id => 'p' }]))->{auth}], [1, 2], 'a push in flight ends first, none comes after');
    one(user_password_begin => token('f1'), $from, 3, $hour) for 1 .. 2;
    my $refused = one(user_password_begin => token('f1'), '10.0.7.1', 3, $hour);
    ok($refused->{wait_seconds} > 3590 && !defined $refused->{password_hash}, 'attempts are limited');
};

subtest 'change of password' => sub {
    empty();
    my $id = user('gerda');
    login('gerda', "g$_") for 1 .. 3;
    forgot('gerda@example.org', 'g reset');
    one(user_email_change => token('g1'), 'hash of gerda', 'thief@example.org', token('g thief'), 's', $from, 1000, $hour);
    my $change = sub ($session, $checked, $new) { return one(user_password_change => token($session), $checked, $new, $from)->{changed} };
    is($change->('g1', 'old hash', 'x'), 0, 'not when it changed since it was checked');
    is_deeply([auth('g2'), usable('g reset'), account('gerda')->{password_hash}], [0, 1, 'hash of gerda'], 'nothing is done');
    is($change->('g1', 'hash of gerda', 'second'), 1, 'changed');
    is_deeply([map { auth("g$_") } 1 .. 3], [0, 1, 1], 'the other sessions end');
    is_deeply([usable('g reset'), @{ confirm('g thief') }], [0, 0, undef], 'links that were sent before are void');
    is_deeply(mails(), ['password_changed gerda@example.org 10.0.0.1'], 'a notice');
    is_deeply(audit(), ['user:gerda user.password user:gerda'], 'audit');
    my ($first, $then) = while_open(sub { $change->('g1', 'second', 'third') }, 'commit', user_password_change => token('g1'), 'second', 'fourth', $from);
    is_deeply([$first, $then->{changed}, account('gerda')->{password_hash}], [1, 0, 'third'], 'two at once: one');
    ($first, $then) = while_open(sub { $change->('g1', 'third', 'fifth') }, 'commit', user_login => $id, 'third', token('g4'), $hour, '\x', $from);
    is_deeply([$then->{auth}, auth('g4')], [1, 1], 'nobody gets in with the old one meanwhile');
};

subtest 'change of address' => sub {
    empty();
    my $id = user('heidi');
    user('taken');
    login('heidi', 'h');
    my $limit = 1000;
    my $change = sub ($email, $token, $hash = 'hash of heidi') {
        return some(user_email_change => [qw(error_code error_detail)], token('h'), $hash, $email, token($token), secret($token), $from, $limit, $hour);
    };
    is_deeply($change->('new@example.org', 'h1', 'old hash'), ['forbidden', 'the password has been changed'], 'not after another password');
    is_deeply($change->('TAKEN@example.org', 'h1'), ['conflict', 'e-mail address is taken'], 'taken');
    is_deeply($change->('heidi@example.org', 'h1'), ['conflict', 'this is your e-mail address already'], 'no change');
    is_deeply($change->($_, 'h1'), ['invalid_request', 'invalid e-mail address'], 'no address') for 'x', q(), 'a@b@c';
    is_deeply([mails(), auth('h')], [[], 0], 'no mail');
    is_deeply($change->('first@example.org', 'h1'), [undef, undef], 'asked for');
    is_deeply(audit(), ['user:heidi user.email.request user:heidi'], 'audit');
    is_deeply($change->('second@example.org', 'h2'), [undef, undef], 'and another');
    is_deeply(mails(), ['address_confirm second@example.org'], 'the last one counts');
    is_deeply(some(user_me => [qw(email new_email)], token('h')), ['heidi@example.org', 'second@example.org'], 'me');
    is_deeply(confirm('h1'), [0, undef], 'not the first');
    forgot('heidi@example.org', 'h reset');
    is_deeply(confirm('h2'), [1, 'heidi'], 'confirmed');
    is_deeply(some(user_me => [qw(email new_email)], token('h')), ['second@example.org', q()], 'changed');
    is_deeply(mails(), ['address_changed heidi@example.org second@example.org'], 'a notice to the former; its reset is taken back');
    is_deeply([usable('h reset'), @{ confirm('h2') }], [0, 0, undef], 'and void; the link works once');
    is_deeply(audit(), ['user:heidi user.email user:heidi'], 'audit');

    is_deeply($change->('Second@Example.org', 'h3'), [undef, undef], 'another spelling');
    is_deeply([confirm('h3')->[0], account('heidi')->{email}], [1, 'Second@Example.org'], 'is a change');
    is(scalar @{ mails('eidi') }, 1, 'that tells nobody anything');
    user('mick');
    login('mick', 'mick');
    one(user_email_change => token('mick'), 'hash of mick', "mic\x{212a}\@example.org", token('kelvin'), 's', $from, 5, $hour);
    is_deeply([confirm('kelvin')->[0], mails('mick@')], [1, ["address_changed mick\@example.org mic\x{212a}\@example.org"]],
        'letters that only look equal to the database are another mailbox: the former one is told');

    $limit = 2;
    my $wait = sub ($email) {
        return one(user_email_change => token('h'), 'hash of heidi', $email, token("spam $email" . rand), 's', $from, $limit, $hour)->{wait_seconds};
    };
    is_deeply([map { $wait->($_) ? 1 : 0 } 'spam@example.org', 'Spam@example.org', 'spam@example.org', 'ham@example.org'], [0, 0, 1, 0],
        'a new address is written to as often as one that registers');
    is(one(register_begin => 'x', 'spam@example.org', '10.9.9.9', $limit, $hour, q())->{wait_seconds} ? 1 : 0, 1, 'both count together');
    $limit = 1000;

    $change->('wanted@example.org', 'h4');
    $schema->user($dbh, 'quick', 'Wanted@example.org');
    is_deeply(confirm('h4'), [0, undef], 'an address that somebody else has by now');
    is(account('heidi')->{email}, 'Second@Example.org', 'stays theirs');
    one(user_delete => 'quick');
    is(confirm('h4')->[0], 1, 'the link still works when they are gone');
    $change->('race@example.org', 'h5');
    my ($first, $then) = while_open(sub { register('racer', 'RACE@example.org', 'racer') }, 'commit', confirm => token('h5'), $from);
    is_deeply([$first->[0], $then->{confirmed}], [undef, 0], 'taken at this moment');
    age('racer', '3 days');
    is_deeply($change->('race@example.org', 'h6'), [undef, undef], 'one that nobody confirmed in time makes room');
    is(account('racer'), undef, 'it is gone');

    block('heidi', 1);
    is_deeply(confirm('h6'), [0, undef], 'not while blocked');
    block('heidi', 0);
    my $edit = sub ($name, $email) { return some(admin_user_edit => [qw(auth found error_code error_detail)], @admin, $id, $name, $email, $from) };
    is_deeply($edit->('Heidi', 'by-admin@example.org'), [0, 1, undef, undef], 'an admin gives another address meanwhile');
    is_deeply([confirm('h6')->[0], account('Heidi')->{email}], [0, 'by-admin@example.org'], 'the link is void');
    is_deeply(mails('race'), [], 'and taken back');
};

subtest 'many people' => sub {
    empty();
    $dbh->do($_) for q{INSERT INTO users (name, email, password_hash, confirmed_at)
                       SELECT 'many' || n, 'many' || n || '@example.org', 'hash of many', now() FROM generate_series(1, 20000) n},
        q{INSERT INTO vaults (user_id, vault_key) SELECT id, 'legacy:' || id FROM users WHERE name LIKE 'many%'},
        q{INSERT INTO devices (public_id, vault_id, user_id, name, token_hash, token_first, token_last)
          SELECT 'dev_' || left(md5(id::text), 24), id, user_id, 'x', sha256(id::text::bytea), '12345678', '1234' FROM vaults
          WHERE user_id IN (SELECT id FROM users WHERE name LIKE 'many%')},
        q{INSERT INTO user_sessions (token_hash, user_id, expires_at) SELECT sha256(id::text::bytea), id, now() + interval '1 day' FROM users WHERE name LIKE 'many%'},
        q{INSERT INTO email_tokens (token_hash, purpose, email, expires_at) SELECT sha256(name::bytea), 'reset', email, now() + interval '1 hour' FROM users WHERE name LIKE 'many%'},
        q{INSERT INTO email_tokens (token_hash, purpose, user_id, email, expires_at)
          SELECT sha256((name || 'x')::bytea), 'address_confirm', id, email, now() + interval '1 hour' FROM users WHERE name LIKE 'many%'},
        q{INSERT INTO email_outbox (template, user_id, recipient, locale, detail, expires_at)
          SELECT 'device_paired', id, email, 'en', '', now() + interval '1 hour' FROM users WHERE name LIKE 'many%'};
    my $id = account('many7')->{id};
    my @call = (
        [pair_begin => 'MANY7', $from, 1000, $hour], [login_begin => 'Many7@example.org', $from, 1000, $hour],
        [user_login => $id, 'hash of many', token('m7'), $hour, '\x', $from], [user_me => token('m7')], [user_devices => token('m7')],
        [user_password_begin => token('m7'), $from, 1000, $hour], [user_device_revoke => token('m7'), 'dev_x', 'hash of many', $from],
        [register_begin => 'many8', 'x@example.org', $from, 1000, $hour, q()], [register_finish => register_parameters('many8', 'x@example.org')],
        [register_finish => register_parameters('manymore')], [confirm => token('manymore'), $from],
        [user_email_change => token('m7'), 'hash of many', 'many8@example.org', token('m7 taken'), 's', $from, 1000, $hour],
        [user_email_change => token('m7'), 'hash of many', 'many7@example.com', token('m7 mail'), 's', $from, 1000, $hour],
        [confirm => token('m7 mail'), $from], [user_password_change => token('m7'), 'hash of many', 'hash of many', $from],
        [forgot => 'many7@example.com', 'en', token('m7 reset'), 's', $from, 1000, $hour], [reset_begin => token('m7 reset'), $from, 1000, $hour],
        [reset_finish => token('m7 reset'), 'hash of many', $from], [user_login => $id, 'hash of many', token('m7b'), $hour, '\x', $from],
        [admin_user_edit => @admin, $id, 'many7b', 'many7b@example.org', $from], [admin_user_set_password => @admin, $id, 'hash of many', $from],
        [admin_user_block => @admin, $id, $from], [admin_user_block => @admin, $id, $from], [admin_user_delete => @admin, $id + 1, $from],
        [admin_key_delete => @admin, 'dev_x', $from], [user_login => $id, 'hash of many', token('m7c'), $hour, '\x', $from],
        [user_logout => token('m7b'), $from], [user_delete_self => token('m7c'), 'hash of many', $from],
    );
    for my $mode ('as they come', 'counted') {
        $dbh->do('ANALYZE users, devices, vaults, user_sessions, email_tokens, email_outbox') if $mode eq 'counted';
        for my $call (@call) {
            my ($name, @parameters) = @$call;
            my $scans = sub { return $dbh->selectcol_arrayref(q{SELECT relname || ' ' || seq_scan FROM pg_stat_xact_user_tables WHERE relname IN
                ('users', 'devices', 'vaults', 'user_sessions', 'email_tokens', 'email_outbox') ORDER BY relname}) };
            $dbh->begin_work;
            my $before = $scans->();
            one($name => @parameters);
            is_deeply($scans->(), $before, "$name walks over no table ($mode)");
            $mode eq 'counted' ? $dbh->commit : $dbh->rollback;
        }
    }
    ok(!account('many7b'), 'all of it was done');
    $dbh->do(q{DELETE FROM devices WHERE user_id IN (SELECT id FROM users WHERE name LIKE 'many%')});
    $dbh->do(q{DELETE FROM vaults WHERE user_id IN (SELECT id FROM users WHERE name LIKE 'many%')});
    $dbh->do(q{DELETE FROM users WHERE name LIKE 'many%'});
    empty();
};

subtest 'deletion' => sub {
    empty();
    my $id = user('ida');
    user('ian');
    $schema->pair($dbh, $id, 'ida', 'ida 1', 'v', notice => 't');
    one(sync_push => Verstak::Schema::push_parameters(token('ida 1'), [{ op_id => 'o' }]));
    login('ida', $_) for 'i1', 'i2';
    login('ian', 'i3');
    one(user_email_change => token('i1'), 'hash of ida', 'ida2@example.org', token('i mail'), 's', $from, 1000, $hour);
    forgot('ida@example.org', 'i reset');
    is(one(user_delete_self => token('i1'), 'old hash', $from)->{deleted}, 0, 'not after another password');
    is(auth('i1'), 0, 'still there');
    my ($first, $then) = while_open(sub { one(user_delete_self => token('i1'), 'hash of ida', $from) }, 'commit', user_delete_self => token('i2'), 'hash of ida', $from);
    is_deeply([@$first{qw(auth user_name deleted)}, $then->{auth}], [0, 'ida', 1, 1], 'deleted once');
    is_deeply(audit(), ['user:ida user.delete user:ida'], 'audit');
    my $count = sub ($sql) { return $dbh->selectrow_array("SELECT count(*) FROM $sql", undef, $id) };
    is_deeply([map { $count->("$_ WHERE user_id = \$1") } qw(devices vaults user_sessions email_tokens email_outbox)], [(0) x 5], 'nothing of it is left');
    is_deeply([mails(), usable('i reset'), auth('i3')], [[], 0, 0], 'nor its resets; others stay');
    is_deeply(register('ida', 'ida@example.org', 'ida again')->[0], undef, 'name and address are free');
};

subtest 'admin: accounts' => sub {
    empty();
    my $id = register('karl', 'karl@example.org', 'karl')->[2];
    user('kurt');
    my $edit = sub ($name, $email, $user = $id) { return some(admin_user_edit => [qw(found error_code error_detail)], @admin, $user, $name, $email, $from) };
    is_deeply($edit->('x', 'x@y', 0), [0, undef, undef], 'nobody');
    is_deeply($edit->('KURT', 'karl@example.org'), [1, 'conflict', 'user name or e-mail address is taken'], 'a name that is taken');
    is_deeply($edit->('kurz', 'Kurt@example.org'), [1, 'conflict', 'user name or e-mail address is taken'], 'an address, too');
    is_deeply($edit->('a@b', 'karl@example.org'), [1, 'invalid_request', 'invalid user name'], 'a bad name');
    is_deeply($edit->('kurz', 'x'), [1, 'invalid_request', 'invalid e-mail address'], 'a bad address');
    is_deeply([@{ account('karl') }{qw(email confirmed_at)}], ['karl@example.org', undef], 'nothing of these is done');
    is_deeply($edit->('Karl', 'karl@example.org'), [1, undef, undef], 'a new name');
    is_deeply(audit(), ['admin:root user.edit user:karl now Karl'], 'audit');
    is(account('Karl')->{confirmed_at}, undef, 'confirms nothing');
    is_deeply($edit->('Karl', 'karl2@example.org'), [1, undef, undef], 'a new address');
    ok(account('Karl')->{confirmed_at}, 'is confirmed by it');
    is_deeply([confirm('karl')->[0], mails()], [0, []], 'the link to the former one is void and taken back; that was not confirmed and gets no notice');
    $edit->('Karl', 'karl3@example.org');
    is_deeply(mails(), ['address_changed karl2@example.org karl3@example.org'], 'a confirmed one gets it');
    is_deeply([@{ $edit->('Karl', q()) }, account('Karl')->{email}], [1, undef, undef, undef], 'no address');
    $edit->('Karl', 'karl@example.org');

    $dbh->do('UPDATE users SET password_hash = $2 WHERE id = $1', undef, $id, 'hash of Karl');
    empty();
    login('Karl', 'k1');
    is_deeply(some(admin_user_set_password => [qw(auth found)], @admin, $id, 'generated', $from), [0, 1], 'a new password');
    is_deeply([auth('k1'), account('Karl')->{password_hash}, mails(), audit()], [1, 'generated', ['password_changed karl@example.org'], ['admin:root user.password user:Karl']], 'ends sessions, tells');
    is(one(admin_user_set_password => @admin, 0, 'x', $from)->{found}, 0, 'of nobody');

    $schema->pair($dbh, $dbh->selectrow_array(q{SELECT id FROM users WHERE name = 'kurt'}), 'kurt', "kurt $_") for 1 .. 3;
    my ($before) = $dbh->selectrow_array('SELECT max(id) - 3 FROM devices');
    my $devices = sub ($name, @page) { return [grep { defined } map { $_->{device_id} } @{ $schema->call($dbh, $name => @admin, @page) }] };
    my @id = map { Verstak::Schema::device_id("kurt $_") } 1 .. 3;
    is_deeply($devices->(admin_devices => $before, 2), [@id[0, 1]], 'a page of devices');
    my $rows = $schema->call($dbh, admin_devices => @admin, $before, 2);
    is_deeply([@{ $rows->[1] }{qw(name client_version revoked_at device_user)}], ['device kurt 2', '1.0', undef, 'kurt'], 'what it says');
    is_deeply($devices->(admin_devices => $rows->[1]{row_id}, 2), [$id[2]], 'the next page');
    is_deeply($devices->(admin_devices => $before + 3, 2), [], 'the end');
    is_deeply(some(admin_key_delete => [qw(auth found)], @admin, $id[1], $from), [0, 1], 'a key is deleted');
    is(one(device_me => token('kurt 2'))->{auth}, 2, 'its device is revoked');
    is_deeply(audit(), ["admin:root device.revoke device:$id[1]"], 'audit');
    is(one(admin_key_delete => @admin, 'dev_nothing', $from)->{found}, 0, 'no such key');
    is_deeply($devices->(admin_keys => $before, 10), [@id[0, 2]], 'keys of devices that are not revoked');
    is_deeply([@{ $schema->call($dbh, admin_keys => @admin, $before, 1)->[0] }{qw(name token_first token_last)}], ['device kurt 1', '01234567', 'cdef'], 'a hint of each');
    is_deeply(some(admin_user_delete => [qw(auth found)], @admin, $id, $from), [0, 1], 'deletion');
    is_deeply([account('Karl'), one(admin_user_delete => @admin, $id, $from)->{found}, audit()], [undef, 0, ['admin:root user.delete user:Karl']], 'once');
};

# Everything that locks, on few accounts, from several connections: errors and deadlocks show what waits in a circle.
subtest 'everything at once' => sub {
    empty();
    $dbh->do('TRUNCATE users, vaults, devices, user_sessions, email_tokens, email_outbox, blob_reservations CASCADE');
    my $run = sub ($seed) {
        my $db = $schema->connect;
        srand $seed;
        my $call = sub ($name, @parameters) { return $schema->call($db, $name, @parameters)->[0] };
        my $pick = sub (@list) { return $list[rand @list] };
        my $live = sub (@list) { return @list ? $pick->(@list > 3 ? @list[-3 .. -1] : @list) : '\x' };    # the last few: older ones are void
        my @names = map { "m$_" } 1 .. 3;
        my ($n, @tokens, @sessions, @devices) = (0);
        my $until = time + 4;
        my @do = (
            sub ($u) { my $t = token("$seed " . ++$n); push @tokens, $t; $call->(register_finish => $u, "$u\@example.org", 'h', 'en', $t, 's', $from, q()) },
            sub ($u) { my $t = token("$seed " . ++$n); push @tokens, $t; $call->(forgot => "$u\@example.org", 'en', $t, 's', $from, 1e9, $hour) },
            sub ($u) { $call->(confirm => $live->(@tokens), $from) },
            sub ($u) { $call->(confirm => $live->(@tokens), $from) },
            sub ($u) { $call->(reset_finish => $live->(@tokens), 'h', $from) },
            (sub ($u) {
                my $id = $call->(login_begin => $u, $from, 1e9, $hour)->{user_id} // return;
                my $t = token("$seed " . ++$n);
                my $row = $call->(user_login => $id, 'h', $t, $hour, $live->(@sessions), $from);
                push @sessions, $t if $row->{auth} == 0;
            }) x 2,
            (sub ($u) {
                my $id = $call->(pair_begin => $u, $from, 1e9, $hour)->{user_id} // return;
                my $row = $call->(pair_finish => $id, 'h', $pick->('v', 'w'), Verstak::Schema::device_id("$seed " . ++$n), token("d $seed $n"), '01234567', 'cdef', 'x', 'x', $from, 't', 1000, 1000);
                push @devices, "$seed $n" if $row->{auth} == 0;
            }) x 2,
            (sub ($u) { $call->(sync_push => Verstak::Schema::push_parameters(token('d ' . $live->(@devices)), [{ op_id => "$seed " . ++$n }])) }) x 3,
            sub ($u) { my @blob = (token('d ' . $live->(@devices)), Verstak::Schema::bytes(sha256_hex($pick->(1 .. 5))), 10, 1e9, 1e9); $call->($_ => @blob) for qw(blob_reserve blob_commit) },
            sub ($u) { $call->(device_touch => token('d ' . $live->(@devices)), $from) },
            sub ($u) { $call->(user_device_revoke => $live->(@sessions), Verstak::Schema::device_id($live->(@devices)), 'h', $from) },
            sub ($u) { $call->(user_password_change => $live->(@sessions), 'h', 'h', $from) },
            (sub ($u) { my $t = token("$seed " . ++$n); push @tokens, $t; $call->(user_email_change => $live->(@sessions), 'h', $pick->(@names) . $pick->('@example.org', '@example.com'), $t, 's', $from, 1_000_000, $hour) }) x 2,
            sub ($u) { $call->(user_logout_all => $live->(@sessions), $from) if rand() < 0.5 },
            sub ($u) { $call->(user_delete_self => $live->(@sessions), 'h', $from) if rand() < 0.5 },
            sub ($u) { $call->(user_set_blocked => $u, $pick->('t', 'f', 'f')) if rand() < 0.3 },
            sub ($u) { my $id = $call->(login_begin => $u, $from, 1e9, $hour)->{user_id} // 0; $call->(admin_user_edit => @admin, $id, $u, "$u\@example.org", $from) if rand() < 0.3 },
            (sub ($u) {
                my @ids = grep { defined } map { $_->{id} } @{ $schema->call($db, mail_claim => "h$seed", $pick->(1, 20), 5, 'x') };
                $schema->call($db, mail_record => "h$seed", \@ids, [map { $pick->(qw(sent retry retry failed release)) } @ids], [(q()) x @ids], 1, 1, $hour);
            }) x 4,
            sub ($u) { $call->(admin_outbox_retry => @admin, $db->selectrow_array('SELECT max(id) FROM email_outbox') // 0, $from) },
            sub ($u) { $call->(janitor_mail => 0, 5); $call->(janitor_tokens => 5); $call->(janitor_sessions => 5); $call->(janitor_attempts => 5) },
            sub ($u) { $db->do(q{UPDATE users SET created_at = now() - interval '3 days' WHERE name = $1 AND confirmed_at IS NULL}, undef, $u) },
        );
        my $done = 0;
        while (time < $until) { $pick->(@do)->($pick->(@names)); $done++ }
        return $done;
    };
    my ($audit) = $dbh->selectrow_array('SELECT max(id) FROM audit_log');
    my ($before) = $dbh->selectrow_array('SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()');
    my @pipes;
    for my $seed (1 .. 4) {
        my $pid = open my $pipe, '-|';
        if (!$pid) {
            $_->{InactiveDestroy} = 1 for $dbh, $second;
            open STDERR, '>', '/dev/null';
            my $done = eval { $run->($seed) };
            print defined $done ? "done $done" : "failed: $@";
            STDOUT->flush;
            POSIX::_exit(0);
        }
        push @pipes, $pipe;
    }
    for my $pipe (@pipes) {
        my $said = join q(), <$pipe>;
        like($said, qr/\Adone [1-9]\d+\z/, "no error: $said");
    }
    my $deadlocks = sub { return $dbh->selectrow_array('SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()') };
    is($deadlocks->(), $before, 'no deadlock');
    is_deeply([map { $dbh->selectrow_array("SELECT count(*) FROM $_") } 'vaults v WHERE last_sequence <> (SELECT count(*) FROM operations o WHERE o.vault_id = v.id)',
        q(email_outbox WHERE state = 'sent' AND (secret IS NOT NULL OR detail IS NOT NULL)), 'email_outbox WHERE secret IS NULL AND finished_at IS NULL AND token_hash IS NOT NULL'], [0, 0, 0], 'what is left is whole');
    my %happened = map { $_ => 1 } @{ $dbh->selectcol_arrayref('SELECT DISTINCT action FROM audit_log WHERE id > $1', undef, $audit) };
    is_deeply([grep { !$happened{$_} } qw(user.register user.confirm user.reset user.login user.password user.email.request user.email user.logout_all user.delete
        user.block device.pair device.revoke mail.retry)], [], 'all of it happened');
};

done_testing;
