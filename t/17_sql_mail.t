# The outbox and the settings as SQL: what is put in, what mailers claim and record, what is dropped, cleared and removed.
use v5.36;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA qw(sha256_hex);
use Test::More;
use Verstak::Schema;
use Verstak::Wait qw(wait_until);

my $schema = Verstak::Schema->new;
my $dbh    = $schema->connect;
my $hour   = 3_600_000;
my @admin  = (Verstak::Schema::token('admin'), ['root:stamp']);

sub one ($name, @parameters) { return $schema->one($dbh, $name, @parameters) }
sub secret ($name)           { return sha256_hex("secret $name") }
sub hash ($name)             { return Verstak::Schema::token("mail $name") }

one(admin_session_create => $admin[0], 'root', 'stamp', $hour, '10.0.0.1', '\x');

# Rows that a test leaves would be due in the next one.
sub empty () { $dbh->do('TRUNCATE email_outbox, email_tokens, attempts, settings'); return }

sub listener () { my $watch = $schema->connect; $watch->do('LISTEN mailer'); return $watch }

# What mailers were told since the last look, after the wait for the first of it.
sub told ($watch) {
    my @told = wait_until(10, sub { my $one = $watch->pg_notifies; return $one }) // return [];
    $watch->do('SELECT');
    while (my $one = $watch->pg_notifies) { push @told, $one }
    return [map { "$_->[0] $_->[2]" } @told];
}

sub untold ($watch) { $watch->do('SELECT'); return !$watch->pg_notifies }

my $users = 0;

# A confirmed user with an address.
sub user ($name = 'u' . ++$users) { return $schema->user($dbh, $name, "$name\@example.org") }

sub notice ($user, $detail = q(), $template = 'device_paired') {
    return $dbh->do('SELECT mail_notice($1, $2, $3)', undef, $template, $user, $detail);
}

sub forgot ($email, $name = $email) {
    return one(forgot => $email, 'en', hash($name), secret($name), '10.0.0.2', 1000, $hour)->{wait_seconds};
}

sub claim ($holder = 'a', $limit = 100, $lease = $hour, $on = $dbh) {
    return [grep { defined $_->{id} } @{ $schema->call($on, mail_claim => $holder, $lease, $limit, 'mail.example.org') }];
}

# Outcomes are [id, outcome, answer].
sub record ($holder, @outcomes) {
    my @columns = map { my $i = $_; [map { $_->[$i] // q() } @outcomes] } 0 .. 2;
    return [grep { defined $_->{id} } @{ $schema->call($dbh, mail_record => $holder, @columns, 30_000, $hour, 24 * $hour) }];
}

sub row ($id) { return $dbh->selectrow_hashref('SELECT * FROM email_outbox WHERE id = $1', undef, $id) }
sub ids ($rows) { return [map { $_->{id} } @$rows] }
sub count ($where = 'true') { return $dbh->selectrow_array("SELECT count(*) FROM email_outbox WHERE $where") }

sub age ($interval, $where = 'true') {
    return $dbh->do("UPDATE email_outbox SET created_at = created_at - interval '$interval', queued_at = queued_at - interval '$interval',
                     due_at = due_at - interval '$interval', expires_at = expires_at - interval '$interval',
                     finished_at = finished_at - interval '$interval' WHERE $where");
}

subtest 'into the outbox' => sub {
    empty();
    my $watch = listener();
    my $id = user('anna');
    $dbh->do(q{UPDATE users SET locale = 'ru' WHERE id = $1}, undef, $id);
    $dbh->begin_work;
    notice($id, 'laptop') for 1 .. 3;
    ok(untold($watch), 'nobody is woken before the commit');
    $dbh->commit;
    is_deeply(told($watch), ['mailer mail'], 'a mailer is woken at the commit, once for all that a transaction puts in');
    is_deeply([@{ row(claim('a', 1)->[0]{id}) }{qw(template recipient locale detail secret)}], ['device_paired', 'anna@example.org', 'ru', 'laptop', undef], 'the row');
    empty();
    $dbh->do('UPDATE users SET confirmed_at = NULL WHERE id = $1', undef, $id);
    notice($id);
    notice($schema->user($dbh, 'without'));
    notice(0);
    is(count(), 0, 'a notice goes to confirmed addresses only');
    $dbh->do('UPDATE users SET confirmed_at = now() WHERE id = $1', undef, $id);
};

subtest 'a claim' => sub {
    empty();
    is_deeply($schema->call($dbh, mail_claim => 'a', $hour, 10, 'x'), [{ map { $_ => undef } qw(id message_id template locale recipient user_name secret detail created_at tries) }],
        'of nothing is one empty row');
    my $id = user();
    notice($id, $_) for 1 .. 5;
    age('1 minute', q{detail = '3'});
    my $rows = claim('a', 2);
    is(scalar @$rows, 2, 'no more than asked for');
    is_deeply([sort map { $_->{detail} } @$rows], [1, 3], 'those that are due longest');
    my ($first) = grep { $_->{detail} eq '1' } @$rows;
    like($first->{message_id}, qr/\A[0-9a-f-]{36}\@mail\.example\.org\z/, 'Message-ID');
    is_deeply([@$first{qw(template locale recipient user_name secret tries)}], ['device_paired', 'en', "u$users\@example.org", "u$users", undef, 1], 'all that the mail says');
    is(row($first->{id})->{state}, 'sending', 'is being sent');
    is(scalar @{ claim('b') }, 3, 'the next one gets the rest');
    is_deeply(claim('c'), [], 'and the third nothing');
    cmp_ok(one('mail_due')->{next_in}, '>', $hour - 60_000, 'until the lease is over');
    is(one('mail_due')->{waiting}, 5, 'five wait');

    age('2 hours', "id = $first->{id}");
    my $again = $schema->call($dbh, mail_claim => 'c', $hour, 10, 'other.example')->[0];
    is_deeply([@$again{qw(id message_id tries)}], [@$first{qw(id message_id)}, 2], 'a mail whose mailer did not come back, under the same Message-ID');
    is_deeply(record('a', [$first->{id}, 'sent']), [], 'who lost a mail records nothing');
    is(row($first->{id})->{lease_holder}, 'c', 'its new holder has it');
    is(record('c', [$first->{id}, 'sent'])->[0]{state}, 'sent', 'and records it');
    is(one('mail_due')->{waiting}, 4, 'four wait');
};

subtest 'claims at the same moment' => sub {
    empty();
    my $id = user();
    notice($id, $_) for 1 .. 10;
    my $other = $schema->connect;
    $other->begin_work;
    my $theirs = claim('b', 5, $hour, $other);
    my $ours   = claim('a', 100);
    is_deeply([scalar @$theirs, scalar @$ours], [5, 5], 'neither waits for the other');
    my %seen;
    $seen{$_}++ for @{ ids([@$theirs, @$ours]) };
    is_deeply([sort { $a <=> $b } values %seen], [(1) x 10], 'and no mail is claimed twice');
    $other->rollback;
    is_deeply([sort @{ ids(claim('c')) }], [sort @{ ids($theirs) }], 'what a mailer that died had claimed is there again');

    empty();
    $dbh->do(q{SELECT mail_put('device_paired', $1, 'x@y', 'en', NULL, NULL, n::text, now() + interval '1 hour') FROM generate_series(1, 600) n}, undef, $id);
    my @pipes;
    for my $holder (1 .. 4) {
        my $pid = open my $pipe, '-|';
        if (!$pid) {
            my $mine = $schema->connect;
            $dbh->{InactiveDestroy} = $other->{InactiveDestroy} = 1;
            while (my @rows = @{ claim("h$holder", 7, $hour, $mine) }) {
                say $_->{id} for @rows;
                $schema->call($mine, mail_record => "h$holder", ids(\@rows), [('sent') x @rows], [(q()) x @rows], 1, 1, 1);
            }
            STDOUT->flush;
            require POSIX;
            POSIX::_exit(0);
        }
        push @pipes, $pipe;
    }
    %seen = ();
    for my $pipe (@pipes) { $seen{$_}++ for map { chomp; $_ } <$pipe> }
    is_deeply([scalar keys %seen, scalar grep { $_ > 1 } values %seen], [600, 0], 'four mailers send six hundred mails once each');
    is(count(q{state = 'sent'}), 600, 'all are recorded');
};

subtest 'what became of it' => sub {
    empty();
    my $id = user();
    my $take = sub ($detail = 'x') { notice($id, $detail); return claim()->[0]{id} };
    my $sent = $take->();
    is_deeply(record('a', [$sent, 'sent', '250 ok']), [{ id => $sent, state => 'sent', next_in => 0, recipient => "u$users\@example.org" }], 'sent');
    is_deeply([@{ row($sent) }{qw(state detail lease_holder last_answer tries)}], ['sent', undef, undef, '250 ok', 1], 'text and lease are gone');
    ok(row($sent)->{finished_at}, 'the time is kept');
    is_deeply(record('a', [$sent, 'retry']), [], 'recorded once');
    is(row($sent)->{state}, 'sent', 'and never undone');

    my $failed = $take->();
    is(record('a', [$failed, 'failed', '550 no such user'])->[0]{state}, 'failed', 'failed');
    is_deeply([@{ row($failed) }{qw(detail last_answer)}], ['x', '550 no such user'], 'with its text, to be sent again');

    my $retried = $take->();
    for my $try (1 .. 9) {
        my $row = record('a', [$retried, 'retry', "4$try"])->[0];
        my $wanted = $try < 8 ? 30_000 * 2**($try - 1) : $hour;
        is($row->{state}, 'retrying', "try $try: is tried again");
        ok($row->{next_in} >= $wanted * 0.79 && $row->{next_in} <= $wanted * 1.21, "after $row->{next_in} ms, about $wanted");
        is_deeply(claim(), [], 'not before');
        is(one('mail_due')->{next_in} <= $row->{next_in}, 1, 'which mail_due says');
        $dbh->do('UPDATE email_outbox SET due_at = now() WHERE id = $1', undef, $retried);
        is_deeply([@{ claim()->[0] }{qw(id tries)}], [$retried, $try + 1], 'then');
    }
    $dbh->do(q{UPDATE email_outbox SET queued_at = queued_at - interval '23 hours 30 minutes' WHERE id = $1}, undef, $retried);
    my $given_up = record('a', [$retried, 'retry', '451 later'])->[0];
    is_deeply([@$given_up{qw(state next_in)}], ['failed', 0], 'given up when the next try would be too late');
    is_deeply([@{ row($retried) }{qw(detail last_answer)}], ['x', '451 later'], 'with the last answer');

    my @spread = map { my $row = $take->(); record('a', [$row, 'retry'])->[0]{next_in} } 1 .. 20;
    my %different = map { $_ => 1 } @spread;
    cmp_ok(scalar keys %different, '>', 5, 'tries are spread');

    empty();
    my @mails = map { $take->($_) } 1 .. 3;
    is_deeply({ map { $_->{id} => $_->{state} } @{ record('a', [$mails[0], 'sent'], [$mails[1], 'retry', '4'], [$mails[2], 'release', 'none'], [0, 'sent']) } },
        { $mails[0] => 'sent', $mails[1] => 'retrying', $mails[2] => 'queued' }, 'several at once, and one that is not there');
    is_deeply([@{ row($mails[2]) }{qw(state tries last_answer)}], ['queued', 0, q()], 'released: as before');
    is_deeply(ids(claim()), [$mails[2]], 'and due at once');
    record('a', [$mails[2], 'retry', '450']);
    $dbh->do('UPDATE email_outbox SET due_at = now() WHERE id = $1', undef, $mails[2]);
    claim();
    is(record('a', [$mails[2], 'release'])->[0]{state}, 'retrying', 'one that was tried before is still to be tried again');
    is_deeply([@{ row($mails[2]) }{qw(tries last_answer)}], [1, '450'], 'with what is known of it');
    claim();
    is(record('a', [$mails[2], 'what', '?'])->[0]{state}, 'retrying', 'an outcome that is not known loses no mail');
    is(record('b', [$mails[1], 'sent']) && row($mails[1])->{state}, 'retrying', 'nor does a record by somebody who has no lease');

    empty();
    my $late = $take->();
    age('2 hours');
    is(record('a', [$late, 'sent', '250'])->[0]{state}, 'sent', 'a lease that ran out and that nobody took over still counts');
    is(record('a', [$take->(), 'sent', 'x' x 5000])->[0]{state} && length row(record('a')->[0] // $dbh->selectrow_array('SELECT max(id) FROM email_outbox'))->{last_answer}, 500,
        'a long answer is cut');
};

subtest 'what expires' => sub {
    empty();
    my $id = user();
    notice($id, 'first');
    my $mail = claim()->[0]{id};
    record('a', [$mail, 'retry', '421 busy']);
    age('48 hours');
    is_deeply(claim(), [], 'is not sent any more');
    is_deeply([@{ row($mail) }{qw(state detail last_answer)}], ['failed', undef, 'expired before it could be sent; 421 busy'], 'but failed, with its text gone');
    notice($id, 'second');
    $mail = claim()->[0]{id};
    $dbh->do(q{UPDATE email_outbox SET expires_at = now() + interval '20 seconds' WHERE id = $1}, undef, $mail);
    is(record('a', [$mail, 'retry', '421'])->[0]{state}, 'failed', 'no try is planned past the expiry');
    is(row($mail)->{detail}, 'second', 'until when an admin may try');
    notice($id, 'third');
    $mail = claim()->[0]{id};
    $dbh->do('UPDATE email_outbox SET expires_at = now() WHERE id = $1', undef, $mail);
    is(record('a', [$mail, 'retry', '421'])->[0]{state}, 'failed', 'expired on its way');
    is(row($mail)->{detail}, undef, 'its text is gone');

    # A link for an hour, a mail server that is away for half of it.
    notice($id, 'fourth');
    $mail = claim()->[0]{id};
    $dbh->do(q{UPDATE email_outbox SET tries = 7, expires_at = now() + interval '28 minutes' WHERE id = $1}, undef, $mail);
    my $row = record('a', [$mail, 'retry', '421'])->[0];
    is($row->{state}, 'retrying', 'tried again while there is time');
    ok($row->{next_in} >= 7 * 60_000 * 0.79 && $row->{next_in} <= 7 * 60_000 * 1.21, "after a quarter of it: $row->{next_in} ms");
};

subtest 'resets' => sub {
    empty();
    my $id = user('Berta');
    $dbh->do(q{UPDATE users SET locale = 'ru' WHERE id = $1}, undef, $id);
    user('blocked');
    one(user_set_blocked => 'blocked', 't');
    forgot($_) for 'BERTA@EXAMPLE.ORG', 'nobody@example.org', 'blocked@example.org', 'young@example.org';
    user('young');
    is(count(), 4, 'all wait alike');
    my $rows = claim();
    is_deeply([map { @$_{qw(template recipient locale user_name secret)} } @$rows], ['reset', 'Berta@example.org', 'ru', 'Berta', secret('BERTA@EXAMPLE.ORG')],
        'one is sent, to the address and in the language of the account');
    is(count(), 1, 'those for nobody, for a blocked account and for one that came later are gone');
    is(one('mail_due')->{waiting}, 1, 'and do not wait');
    record('a', [$rows->[0]{id}, 'sent']);
    is($dbh->selectrow_array('SELECT count(*) FROM email_outbox WHERE secret IS NOT NULL'), 0, 'no secret is left');

    empty();
    $dbh->do(q{SELECT token_put('reset', NULL, 'no' || n || '@example.org', 'en', sha256(n::text::bytea), n::text) FROM generate_series(1, 2500) n});
    forgot('berta@example.org');
    my @claims = map { scalar @{ claim('a', 10) } } 1 .. 3;
    is_deeply([@claims, count()], [0, 0, 1, 1], 'one call looks at a thousand of them');
};

subtest 'tokens that are void' => sub {
    empty();
    my $id = user('carl');
    forgot('carl@example.org', $_) for 1 .. 3;
    record('a', [claim('a', 1)->[0]{id}, 'retry']);
    my $sending = claim('b', 1)->[0]{id};
    my $busy = $schema->connect;
    $busy->begin_work;
    $busy->do('SELECT FROM email_outbox WHERE id = $1 FOR UPDATE', undef, $sending);
    ok(one(reset_finish => hash(2), 'hash', '10.0.0.1')->{done}, 'a password is reset while a mailer holds another mail');
    $busy->rollback;
    is_deeply($dbh->selectcol_arrayref(q{SELECT id FROM email_outbox WHERE template = 'reset'}), [$sending], 'mails that wait with void tokens are taken back');
    is(record('b', [$sending, 'retry', '450'])->[0]{state}, 'failed', 'the one that was being sent is not tried again');
    is_deeply([@{ row($sending) }{qw(secret detail)}], [undef, undef], 'and keeps no text');

    empty();
    forgot('carl@example.org', $_) for 4, 5;
    is(scalar @{ claim() }, 2, 'two are being sent when their mailer dies');
    one(reset_finish => hash(4), 'hash2', '10.0.0.1');
    $dbh->do(q{UPDATE email_outbox SET due_at = now() WHERE state = 'sending'});
    is_deeply([map { $_->{template} } @{ claim('b') }], ['password_changed'], 'their tokens are void: nobody sends them again');
    is(count(), 1, 'they are gone');
};

subtest 'an account goes' => sub {
    empty();
    my $id = user('dora');
    my $id2 = user('ernst');
    notice($_) for $id, $id2;
    forgot("$_\@example.org") for qw(dora ernst);
    my $rows = claim('a', 1);
    record('a', [$rows->[0]{id}, 'sent']);
    claim('a', 1);
    ok(one(user_delete => 'dora')->{user_id}, 'deleted while mails wait and one is being sent');
    is(count(q{recipient LIKE 'dora%'}), 0, 'none of its mails is left');
    is(count(), 2, 'those of others are');
    is($dbh->selectrow_array(q{SELECT count(*) FROM email_tokens WHERE email LIKE 'dora%'}), 0, 'nor tokens');
    is_deeply(record('a', [$_->{id}, 'sent']), [], 'its mailer records nothing') for @$rows;
};

subtest 'admin: outbox' => sub {
    empty();
    my $id = user('frieda');
    notice($id, $_) for 1 .. 3;
    forgot('frieda@example.org');
    forgot('nobody@example.org');
    my $list = sub ($state = q(), $page = 1, $per_page = 10) { return $schema->call($dbh, admin_outbox => @admin, $state, $page, $per_page) };
    my $rows = $list->();
    is_deeply([map { [@$_{qw(template owner recipient state tries resendable total)}] } @$rows], [
        ['reset', q(), 'nobody@example.org', 'queued', 0, 1, 5],
        ['reset', 'frieda', 'frieda@example.org', 'queued', 0, 1, 5],
        map { ['device_paired', 'frieda', 'frieda@example.org', 'queued', 0, 1, 5] } 1 .. 3
    ], 'newest first');
    ok(!grep({ /secret|detail/ } keys %{ $rows->[0] }), 'without what they say');
    is_deeply([map { scalar grep { defined $_->{id} } @{ $list->(q(), $_, 2) } } 1 .. 4], [2, 2, 1, 0], 'pages');
    is($list->(q(), 4, 2)->[0]{total}, 5, 'a page past the end knows the total');
    is_deeply([$list->(q(), 2, 2)->[0]{id}], [$rows->[2]{id}], 'in order');
    my @mails = sort { $a <=> $b } @{ ids(claim()) };
    record('a', [$mails[0], 'sent', '250'], [$mails[1], 'failed', '550'], [$mails[2], 'retry', '450']);
    is_deeply([map { my $state = $_; [$state, map { @$_{qw(total id)} } @{ $list->($state) }] } qw(sent failed retrying sending queued nonsense)],
        [['sent', 1, $mails[0]], ['failed', 1, $mails[1]], ['retrying', 1, $mails[2]], ['sending', 1, $mails[3]], ['queued', 0, undef], ['nonsense', 0, undef]], 'by state');
    is_deeply([map { $list->($_)->[0]{resendable} } qw(sent failed retrying sending)], [0, 1, 1, 0], 'what can be sent again');
    is_deeply([map { defined $list->($_)->[0]{next_try_at} ? 1 : 0 } qw(sent failed retrying sending)], [0, 0, 1, 0], 'when it is tried');
    my $stats = one(admin_stats => @admin);
    is_deeply([@$stats{qw(mails_waiting mails_failed)}], [2, 1], 'stats');

    my $retry = sub ($mail) { my $row = one(admin_outbox_retry => @admin, $mail, '10.0.0.1'); return [@$row{qw(auth found error_code error_detail)}] };
    my $watch = listener();
    is_deeply($retry->($mails[0]), [0, 1, 'conflict', 'the text of a sent mail is not kept'], 'a sent mail stays sent');
    is_deeply($retry->($mails[3]), [0, 1, 'conflict', 'the mail is being sent'], 'one that is being sent is left alone');
    is_deeply($retry->(0), [0, 0, undef, undef], 'none');
    ok(untold($watch), 'no mailer is woken for these');
    is_deeply($retry->($_), [0, 1, undef, undef], 'again') for @mails[1, 2];
    is_deeply(told($watch), [('mailer mail') x 2], 'a mailer is woken');
    my $before = row($mails[1]);
    is_deeply([@$before{qw(state tries finished_at)}], ['queued', 0, undef], 'as if new');
    is_deeply([sort { $a <=> $b } @{ ids(claim()) }], [@mails[1, 2]], 'claimed at once');
    is(row($mails[1])->{message_key}, $before->{message_key}, 'under the same Message-ID');
    record('a', [$mails[1], 'failed', '550']);
    $dbh->do(q{UPDATE email_outbox SET expires_at = now() - interval '1 second' WHERE id = $1}, undef, $mails[1]);
    is_deeply($retry->($mails[1]), [0, 1, 'conflict', 'the mail has expired'], 'not when its link has expired');
    is($list->('failed')->[0]{resendable}, 0, 'which the list says');
    is_deeply($dbh->selectcol_arrayref(q{SELECT subject FROM audit_log WHERE action = 'mail.retry' ORDER BY id}), ["mail:$mails[1]", "mail:$mails[2]"], 'audit');
};

subtest 'settings' => sub {
    empty();
    my $set = sub (%value) { return one(admin_settings_set => @admin, [sort keys %value], [@value{ sort keys %value }], '10.0.0.1')->{auth} };
    my $all = sub () { return { map { $_->{name} => $_->{value} } grep { defined $_->{name} } @{ $schema->call($dbh, 'mail_settings') } } };
    is_deeply($schema->call($dbh, 'mail_settings'), [{ name => undef, value => undef }], 'none');
    is_deeply($schema->call($dbh, admin_settings => @admin), [{ auth => 0, user_name => 'root', name => undef, value => undef }], 'none for an admin');
    my $watch = listener();
    is($set->(smtp_host => 'mx', smtp_user => 'me', smtp_password => 'v1:sealed', server_name => "\x{420}"), 0, 'set');
    is_deeply(told($watch), ['mailer settings'], 'mailers are told');
    is_deeply($all->(), { smtp_host => 'mx', smtp_user => 'me', smtp_password => 'v1:sealed', server_name => "\x{420}" }, 'there');
    $set->(smtp_host => 'mx', smtp_port => 25, server_name => q());
    is_deeply($all->(), { smtp_host => 'mx', smtp_user => 'me', smtp_password => 'v1:sealed', smtp_port => 25 }, 'changed, taken out; the password stays with its host and user');
    $set->(smtp_user => 'you');
    is($all->()->{smtp_password}, undef, 'it does not go to another user');
    $set->(smtp_host => 'mx2', smtp_password => 'v1:new');
    is($all->()->{smtp_password}, 'v1:new', 'a new host comes with a new one');
    $set->(smtp_host => q());
    is_deeply($all->(), { smtp_user => 'you', smtp_port => 25 }, 'and without host there is none');
    is(one(admin_settings_set => Verstak::Schema::token('x'), $admin[1], ['registration'], ['closed'], 'x')->{auth}, 1, 'a stranger');
    is($all->()->{registration}, undef, 'changes nothing');
    is_deeply($dbh->selectrow_arrayref(q{SELECT actor, subject, detail FROM audit_log WHERE action = 'settings.change' ORDER BY id LIMIT 1}),
        ['admin:root', 'settings', 'server_name, smtp_host, smtp_password, smtp_user'], 'audit: names, no values');

    my $first = $schema->connect;
    my $second = $schema->connect;
    $first->begin_work;
    $schema->one($first, admin_settings_set => @admin, ['smtp_host', 'smtp_password'], ['there', 'v1:there'], 'x');
    $schema->start($second, admin_settings_set => @admin, ['smtp_host', 'smtp_user'], ['here', 'you'], 'x');
    $schema->blocked($second);
    $first->commit;
    is($schema->result($second)->[0]{auth}, 0, 'two admins at once: the second waits');
    is_deeply([@{ $all->() }{qw(smtp_host smtp_password)}], ['here', undef], 'and does not get the password of the first one\'s host');
};

subtest 'janitor' => sub {
    empty();
    my $id = user('gerd');
    my $purge = sub ($limit = 100, $retention = 30 * 24 * $hour) { return one(janitor_mail => $retention, $limit)->{removed} };
    notice($id, $_) for 1 .. 6;
    my @mails = sort { $a <=> $b } @{ ids(claim('a', 100)) };
    record('a', [$mails[0], 'sent'], [$mails[1], 'failed'], [$mails[2], 'release'], [$mails[3], 'retry', '450']);
    is($purge->(), 0, 'nothing to do');
    age('48 hours', "id <> $mails[5]");
    $dbh->do(q{UPDATE email_outbox SET due_at = now() + interval '1 minute' WHERE id = $1}, undef, $mails[4]);
    forgot('nobody@example.org');
    forgot('gerd@example.org');
    age('2 hours', q{template = 'reset'});
    is($purge->(), 5, 'a reset for nobody, another, what failed, what waits and what is to be tried again');
    is_deeply([map { [@{ row($_) }{qw(state detail last_answer)}] } @mails], [
        ['sent', undef, q()], ['failed', undef, q()], ['failed', undef, 'expired before it could be sent'],
        ['failed', undef, 'expired before it could be sent; 450'], ['sending', '5', q()], ['sending', '6', q()],
    ], 'texts are gone; what is being sent is left');
    is_deeply($dbh->selectcol_arrayref(q{SELECT recipient || ' ' || state FROM email_outbox WHERE template = 'reset'}), ['gerd@example.org failed'], 'of the reset for nobody there is no trace');
    is(count('secret IS NOT NULL'), 0, 'no secret is left');
    is($purge->(), 0, 'done');
    age('1 hour', "id = $mails[4]");
    is($purge->(), 1, 'one whose lease is over, too');
    is_deeply([@{ row($mails[4]) }{qw(state lease_holder)}], ['failed', undef], 'has failed');
    age('31 days', "id = $mails[0] OR id = $mails[1]");
    is_deeply([map { $purge->(1) } 1 .. 3], [1, 1, 0], 'finished ones go after the retention, in batches');
    is(count(), 5, 'the others stay');
    notice($id);
    claim('a');
    age('49 hours', 'finished_at IS NULL');
    my $busy = $schema->connect;
    $busy->begin_work;
    $busy->do('SELECT FROM email_outbox WHERE finished_at IS NULL FOR UPDATE');
    is($purge->(), 0, 'locked ones do not hold it up');
    $busy->rollback;
    is($purge->(), 2, 'they go the next time');
};

subtest 'a few due mails among many finished ones' => sub {
    empty();
    $dbh->do('VACUUM ANALYZE email_outbox, email_tokens');
    my $id = user('heinz');
    # The plans are made while the table is empty and kept, as a mailer's connection does.
    my $session = $schema->connect(pg_server_prepare => 1, pg_switch_prepared => 1);
    my $claim = $session->prepare(Verstak::Schema::queries()->{mail_claim});
    my $due   = $session->prepare(Verstak::Schema::queries()->{mail_due});
    my $list  = $session->prepare(Verstak::Schema::queries()->{admin_outbox});
    my @call  = ([$claim, 'a', $hour, 10, 'x'], [$due], [$list, $admin[0], '{root:stamp}', 'failed', 1, 20]);
    my $run   = sub { return map { my ($handle, @parameters) = @$_; $handle->execute(@parameters); $handle->fetchall_arrayref({}) } @call };
    $run->() for 1 .. 7;
    $dbh->do(q{INSERT INTO email_outbox (template, user_id, recipient, locale, state, finished_at, due_at, expires_at, created_at)
               SELECT 'device_paired', $1, 'x@example.org', 'en', 'sent', at, at, at, at
               FROM generate_series(1, 200000) n, LATERAL (SELECT now() - n * interval '10 seconds') AS t (at)}, undef, $id);
    notice($id, $_) for 1 .. 3;
    # Rows that the calls look at, all counters taken before and after.
    my $looked = sub ($table) {
        my $counters = sub { return $session->selectrow_array(q{SELECT seq_scan, idx_tup_fetch + seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = $1}, undef, $table) };
        $session->begin_work;
        notice($id, 'and one more');
        my @before = $counters->();
        my @results = $run->();
        my @after = $counters->();
        $session->rollback;
        return ($after[0] - $before[0], $after[1] - $before[1], @results);
    };
    my ($scans, $rows, $claimed, $next, $failed) = $looked->('email_outbox');
    is_deeply([scalar @$claimed, $next->[0]{waiting}, $failed->[0]{total}], [4, 4, 0], 'are found');
    is($scans, 0, 'by indexes alone, with plans of before');
    cmp_ok($rows, '<', 200, "$rows rows are looked at");
    $dbh->do('ANALYZE email_outbox');
    $run->();
    ($scans, $rows) = $looked->('email_outbox');
    is($scans, 0, 'and with new ones');
    cmp_ok($rows, '<', 200, "$rows rows are looked at");
    $dbh->do(q{SELECT mail_put('device_paired', $1, 'x@y', 'en', NULL, NULL, n::text, now() + interval '1 hour') FROM generate_series(1, 3000) n}, undef, $id);
    @call = ([$claim, 'a', $hour, 10, 'x']);
    ($scans, $rows, $claimed) = $looked->('email_outbox');
    is(scalar @$claimed, 10, 'a few of many that wait');
    is($scans, 0, 'by indexes');
    cmp_ok($rows, '<', 200, "$rows rows are looked at");
};

done_testing;
