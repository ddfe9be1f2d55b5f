# db/pool.h against real databases that are killed, stopped, frozen, made read-only and put behind PgBouncer. The statements run in
# t/unit/test_db_pool.c, which says what they are.
use v5.36;
use Test::More;
use Time::HiRes qw(time);
use FindBin;
use lib "$FindBin::Bin/lib";
use Verstak::PgBouncer;
use Verstak::Postgres;
use Verstak::Processes qw(slurp);
use Verstak::Wait qw(wait_for wait_until);

my $program = $ENV{VERSTAK_TEST_DB_POOL} // ($ENV{VERSTAK_BUILD} // '.') . '/t/unit/test_db_pool';
plan skip_all => "'$program' is not built" if !-x $program;

# One running test_db_pool.
package Driver {
    use IPC::Open2;
    my $logs = File::Temp->newdir('vdp-XXXXXX', TMPDIR => 1);
    my $count = 0;

    sub new ($class, $url, @settings) {
        my $self = bless { lines => [], buffer => '', log => "$logs/" . ++$count, done => {} }, $class;
        local $ENV{TEST_DB_POOL_LOG} = $self->{log};
        my @wrap = split ' ', $ENV{VERSTAK_TEST_WRAP} // '';
        $self->{pid} = open2($self->{out}, $self->{in}, @wrap, $program, $url, @settings);
        return $self;
    }

    # A driver whose connections are all there.
    sub up ($class, @arguments) {
        my $self = $class->new(@arguments);
        Verstak::Wait::wait_for('all connections', 20, sub { $self->stats->{connecting} == 0 });
        return $self;
    }

    sub say ($self, @lines) {
        syswrite $self->{in}, join '', map {"$_\n"} @lines;
        return $self;
    }

    # Reads what has come; true at the end of it.
    sub drain ($self, $wait = 0) {
        my $bits = '';
        vec($bits, fileno $self->{out}, 1) = 1;
        while (select my $ready = $bits, undef, undef, $wait) {
            return 1 if !sysread $self->{out}, $self->{buffer}, 65536, length $self->{buffer};
            $wait = 0;
        }
        push @{ $self->{lines} }, $1 while $self->{buffer} =~ s/\A(.*)\n//;
        return 0;
    }

    # The first line that matches, taken out; dies when none comes.
    sub line ($self, $pattern, $seconds = 20) {
        return Verstak::Wait::wait_for(
            "a line like $pattern; there are: @{$self->{lines}}",
            $seconds,
            sub {
                $self->drain;
                my ($at) = grep { $self->{lines}[$_] =~ $pattern } 0 .. $#{ $self->{lines} };
                return defined $at && splice @{ $self->{lines} }, $at, 1;
            }
        );
    }

    # What `done ID` says.
    sub result ($self, $id, $seconds = 20) { return $self->line(qr/^done \Q$id\E /, $seconds) =~ s/^done \S+ //r }

    sub ask ($self, $statement, @parameters) {
        my $id = 'ask' . ++$self->{asked};
        $self->say("submit $id $statement 15000 @parameters");
        return $self->result($id);
    }

    sub load ($self, $statement, $number, $concurrency, $deadline = 15000) {
        my $id = 'load' . ++$self->{asked};
        $self->say("load $id $statement $number $concurrency $deadline");
        return $id;
    }

    sub loaded ($self, $id, $seconds = 60) {
        return { $self->line(qr/^loaded $id /, $seconds) =~ /(\w+)=(\d+)/g };
    }

    sub stats ($self) {
        $self->say('stats');
        return { $self->line(qr/^stats /) =~ /(\w+)=(\d+)/g };
    }

    sub log ($self) { return Verstak::Processes::slurp($self->{log}) // '' }
    sub files ($self) { return scalar(() = glob "/proc/$self->{pid}/fd/*") }

    sub logged ($self, $pattern) { return scalar(() = $self->log =~ /$pattern/g) }

    # Ends it; every line that nobody took. Its exit status must be 0: the sanitizers and valgrind speak through it.
    sub quit ($self) {
        $self->say('quit');
        Verstak::Wait::wait_for('the end', 20, sub { $self->drain(0.1) });
        push @{ $self->{lines} }, split /\n/, $self->{buffer};
        waitpid $self->{pid}, 0;
        Test::More::is($?, 0, 'ends well');
        Test::More::is_deeply([ grep {/^violation|handle stands|bad command/} @{ $self->{lines} } ], [], 'the contract of callbacks is kept');
        Test::More::is(pop @{ $self->{lines} }, 'bye', 'says bye last');
        return @{ $self->{lines} };
    }
}

my $pg = Verstak::Postgres->new(tcp => 1, settings => { max_connections => 60 });

sub prepare_database ($cluster) {
    $cluster->psql($_, dbname => 'verstak', user => 'verstak')
        for 'CREATE TABLE item (id bigint)', 'CREATE TABLE shape (a bigint)', 'INSERT INTO shape VALUES (7)',
        'CREATE TABLE deferred (id bigint UNIQUE DEFERRABLE INITIALLY DEFERRED)', <<~'END';
            CREATE FUNCTION fail_times(state text, counter text, times bigint) RETURNS text LANGUAGE plpgsql AS $$
            BEGIN
                IF nextval(counter) <= times THEN
                    RAISE EXCEPTION 'made up' USING ERRCODE = state;
                END IF;
                RETURN 'done';
            END $$
            END
    return;
}
prepare_database($pg);

sub items ($cluster = $pg) { return $cluster->psql('SELECT count(*) FROM item', dbname => 'verstak') }
sub clear_items ($cluster = $pg) { $cluster->psql('TRUNCATE item', dbname => 'verstak') }

# Backends of the driver that are in a statement like this one.
sub running_pids ($like, $cluster = $pg) {
    return split /\n/,
        $cluster->psql("SELECT pid FROM pg_stat_activity WHERE application_name = 'verstak-sync-server' AND state = 'active' "
            . "AND query LIKE '%$like%'");
}

sub locked ($number) {
    my $dbh = $pg->dbh;
    $dbh->do("SELECT pg_advisory_lock($number)");
    return $dbh;
}

# What must hold with prepared statements and through PgBouncer alike.
sub answers ($d, $stem) {
    is($d->ask('read',        'i:-5'), 'ok -5',  'a read');
    is($d->ask('work',        'i:9'),  'ok 9',   'a transaction');
    is($d->ask('work_null',   'n:'),   'ok true', 'NULL');
    is($d->ask('work_null',   'i:1'),  'ok false', 'the same statement with a number');
    is($d->ask('work_echo',   't:a?b'), 'ok 3:a?b', 'text');
    is($d->ask('read_row',    'i:-1'), 'ok no row', 'no row');
    is($d->ask('work_length', 'x:3000000'), 'ok 3000000', 'a parameter of 3 MB');
    like($d->ask('read_text', 'i:3000000'), qr/^ok 3000000:xxx/, 'an answer of 3 MB');
    like($d->ask('read_divide', 'i:0'), qr/^failed 22012 division by zero$/, 'an error');
    is($d->ask('read_divide', 'i:1'), 'ok 1', 'and the statement goes on working');

    $d->say(map {("submit b$_ read_broken 15000 i:$_", "submit g$_ read 15000 i:$_")} 1 .. 20);
    my @broken = map { $d->result("b$_") } 1 .. 20;
    is_deeply([ grep { !/^failed 42703 / } @broken ], [], 'a statement that does not parse, many in one pipeline');
    is_deeply([ map  { $d->result("g$_") } 1 .. 20 ], [ map {"ok $_"} 1 .. 20 ], 'those between them are not touched');

    is($d->ask('work_deferred', "i:$stem"), "ok $stem", 'a row under a deferred constraint');
    like($d->ask('work_deferred', "i:$stem"), qr/^failed 23505 /, 'the commit that fails after the rows came is a failure');

    for my $case ([ '40P01', 1, qr/^ok 4:done/ ], [ '40001', 1, qr/^ok 4:done/ ], [ '40P01', 2, qr/^failed 40P01/ ], [ '23514', 1, qr/^failed 23514/ ]) {
        my ($state, $times, $expected) = @$case;
        my $counter = "counter_${stem}_${state}_$times";
        $pg->psql("CREATE SEQUENCE \"$counter\" OWNED BY item.id", dbname => 'verstak', user => 'verstak');
        like($d->ask('work_fail', "t:$state", qq{t:"$counter"}, "i:$times"), $expected, "SQLSTATE $state $times times");
    }

    $pg->psql('ALTER TABLE shape ALTER COLUMN a TYPE bigint USING a::bigint', dbname => 'verstak');
    is($d->ask('read_shape'), 'ok 7', 'a table');
    $pg->psql('ALTER TABLE shape ALTER COLUMN a TYPE text', dbname => 'verstak');
    is($d->ask('read_shape'), 'ok 1:7', 'the same table with a column of another type');

    clear_items();
    my @loads = ($d->load('read', 5000, 200), $d->load('work_insert', 1500, 50), $d->load('read_divide', 500, 20));
    my ($read, $insert) = map { $d->loaded($_) } @loads;
    is("$read->{ok} $read->{wrong}", '5000 0', '5000 pipelined reads get their own answers');
    is("$insert->{ok} $insert->{wrong}", '1500 0', '1500 transactions, too');
    is(items(), 1500, 'and each was carried out once');
    return;
}

subtest 'answers' => sub {
    my $d = Driver->up($pg->url);
    answers($d, 1);
    is($d->stats->{reconnects}, 1, 'one connection was replaced: the one that knew the table with its old column');
    $d->say('forget work_insert i:77', 'forget read_divide i:0');
    wait_for('the forgotten insert', 10, sub { items() == 1501 });
    wait_for('the line about the forgotten failure', 10, sub { $d->logged(qr/'read_divide' failed and nobody waits/) == 1 });
    is_deeply([ $d->quit ], [], 'nothing was said that was not asked for');
};

subtest 'deadlines, queue and cancel' => sub {
    my $d    = Driver->up($pg->url, 'work=2', 'queue=4');
    my $lock = locked(100);
    clear_items();
    $d->say('submit a work_lock 15000 i:100', 'submit b work_lock 15000 i:100');
    wait_for('two that wait for the lock', 10, sub { running_pids('advisory_xact') == 2 });
    my $begun = time;
    $d->say('submit late work_insert 300 i:1', 'submit w1 work_insert 15000 i:2', 'submit w2 work_insert 15000 i:3');
    like($d->result('late'), qr/^unavailable no database connection was free in time$/, 'a deadline that passes');
    cmp_ok(time - $begun, '>=', 0.3, 'not before its time');
    is($d->ask('read', 'i:1'), 'ok 1', 'the other lane is free meanwhile');

    $d->say('submit w3 work_insert 15000 i:4', 'submit w4 work_insert 15000 i:5', 'submit w5 work_insert 15000 i:6', 'submit w6 work_insert 15000 i:7');
    like($d->result($_), qr/^unavailable too many statements wait/, 'a full queue refuses') for qw(w5 w6);
    my $stats = $d->stats;
    is("$stats->{waiting} $stats->{running} $stats->{refused}", '4 2 2', 'as counted');

    $d->say('cancel w1', 'cancel a', 'cancel w4');
    $d->line(qr/^cancelled $_$/) for qw(w1 a w4);
    is($d->stats->{waiting}, 2, 'what is cancelled waits no more');
    $d->say('submit past work_insert 0 i:9');
    like($d->result('past'), qr/^unavailable /, 'a deadline that has passed when it comes');
    $lock->disconnect;
    is($d->result('b'), 'ok 100', 'the one that was not cancelled is answered');
    is($d->result($_->[0]), $_->[1], 'those that waited are carried out') for [ w2 => 'ok 3' ], [ w3 => 'ok 4' ];
    wait_for('quiet', 10, sub { $d->stats->{running} == 0 });
    is(items(), 2, 'what was cancelled or refused is not');
    is_deeply([ $d->quit ], [], 'no word of the cancelled');
};

subtest 'backends that are killed' => sub {
    my $d    = Driver->up($pg->url, 'work=2');
    my $lock = locked(101);
    clear_items();
    $d->say('submit w work_lock 15000 i:101', 'submit r read_sleep 15000 i:1 i:10000', 'submit behind read 15000 i:2');
    my ($work) = @{ wait_for('a backend', 10, sub { my @p = running_pids('advisory_xact'); @p && \@p }) };
    my ($read) = @{ wait_for('a backend', 10, sub { my @p = running_pids('pg_sleep');      @p && \@p }) };
    $pg->psql("SELECT pg_terminate_backend($work), pg_terminate_backend($read)");
    is($d->result('w'), 'unknown terminating connection due to administrator command', 'a transaction whose connection is lost');
    like($d->result('r'),      qr/^unavailable terminating connection/, 'a read wrote nothing');
    like($d->result('behind'), qr/^unavailable terminating connection/, 'nor did the one behind it');
    $lock->disconnect;
    wait_for('all connections', 10, sub { $d->stats->{connecting} == 0 });
    my $stats = $d->stats;
    is("$stats->{reconnects} $stats->{unknown}", '2 1', 'as counted');

    my $why = qr/(?:lost \d of 3 database connections|the database is gone): terminating connection due to/;
    wait_for('a line in the log', 10, sub { $d->logged($why) });

    # idle ones: nobody notices
    $pg->psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'verstak-sync-server'");
    wait_for('three more', 10, sub { $d->stats->{reconnects} == 5 });
    wait_for('all connections', 10, sub { $d->stats->{connecting} == 0 });
    is($d->ask('read',        'i:3'), 'ok 3', 'a read afterwards');
    is($d->ask('work_insert', 'i:4'), 'ok 4', 'a transaction afterwards');
    is(items(), 1, 'nothing was sent twice');
    wait_for('a second line', 10, sub { $d->logged($why) >= 2 });
    is($d->logged($why), 2, 'one line in the log for each time, with the reason');

    # not as many as there should be
    $pg->psql('ALTER ROLE verstak CONNECTION LIMIT 2');
    $pg->psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'verstak-sync-server'");
    wait_for('a warning', 20, sub { $d->logged(qr/warning.*only 2 of 3 database connections: .*too many connections/) == 1 });
    is($d->ask('work', 'i:5') . $d->ask('read', 'i:6'), 'ok 5ok 6', 'two of three are enough to go on');
    $pg->psql('ALTER ROLE verstak CONNECTION LIMIT -1');
    wait_for('all connections', 10, sub { $d->stats->{connecting} == 0 });
    is_deeply([ $d->quit ], [], 'nothing else');
};

subtest 'the server goes away and comes back' => sub {
    my $url = $pg->url =~ s/verstak@/verstak:s3cret@/r;
    my $d   = Driver->up($url);
    my $files = $d->files;
    $pg->stop('immediate');
    wait_for('no connection', 10, sub { $d->stats->{connected} == 0 });
    $d->say('submit r read 400 i:1', 'submit w work_insert 400 i:1', 'submit patient work_insert 15000 i:5');
    like($d->result($_), qr/^unavailable /, "$_: without a database") for qw(r w);
    clear_items($pg->start);
    is($d->result('patient'), 'ok 5', 'one that could wait is carried out when it is back');
    wait_for('all connections', 10, sub { $d->stats->{connecting} == 0 });
    is($d->logged(qr/warning.*: the database is gone: \S/), 1, 'one line that it is gone, with the reason');
    is($d->logged(qr/info.*: the database is back after \d+\.\d s/), 1, 'one line that it is back');
    unlike($d->log, qr/s3cret/, 'no password in the log');

    for my $mode (qw(immediate fast)) {
        clear_items();
        my $load = $d->load('work_insert', 6000, 40);
        wait_for('some rows', 10, sub { items() > 200 });
        $pg->restart($mode);
        my $l = $d->loaded($load);
        is($l->{ok} + $l->{failed} + $l->{unavailable} + $l->{unknown}, 6000, "restarted ($mode) under load: each has an answer");
        is($l->{failed} + $l->{wrong}, 0, 'no wrong one');
        my $rows = items();
        ok($rows >= $l->{ok} && $rows <= $l->{ok} + $l->{unknown}, "rows: $l->{ok} acknowledged <= $rows <= $l->{unknown} unknown more");
        is($pg->psql('SELECT count(*) - count(DISTINCT id) FROM item', dbname => 'verstak'), 0, 'none twice');
    }
    wait_for('all connections', 10, sub { $d->stats->{connecting} == 0 });
    is($d->files, $files, 'as many open files as before');
    is_deeply([ $d->quit ], [], 'nothing else');
};

subtest 'statements that take too long' => sub {
    my $d = Driver->up($pg->url, 'statement_timeout=300', 'connect_timeout=300', 'work=1');
    like($d->ask('work_sleep', 'i:1', 'i:20000'), qr/^failed 57014 /, 'the server ends them: certainly nothing was written');
    is($d->stats->{reconnects}, 0, 'the connection stays');

    $pg->freeze;
    $d->say('submit w work 15000 i:1', 'submit r read 15000 i:1');
    like($d->result('w'), qr/^unknown no answer to the statement 'work' in time/, 'a transaction on a database that hangs');
    like($d->result('r'), qr/^unavailable no answer to the statement 'read' in time/, 'a read on a database that hangs');
    wait_for('all given up', 10, sub { $d->stats->{connected} == 0 });
    wait_for('attempts end, too', 10, sub { $d->logged(qr/attempt failed: no answer in time \(database\.connect_timeout\)/) });
    $pg->thaw;
    is($d->ask('work', 'i:8'), 'ok 8', 'it is well when the database wakes up');
    is($d->ask('read', 'i:8'), 'ok 8', 'reads, too');
    is($d->logged(qr/giving up a database connection: no answer to the statement '(?:work|read)' in time/), 2, 'the log names the statements');
    is_deeply([ $d->quit ], [], 'nothing else');
};

subtest 'several hosts' => sub {
    my $other = Verstak::Postgres->new(tcp => 1);
    prepare_database($other);
    my ($one, $two) = ($pg->port, $other->port);
    my $free = Verstak::Postgres::free_port();
    my $url  = "postgresql://verstak\@127.0.0.1:$free,127.0.0.1:$one,localhost:$two/verstak";
    my $d    = Driver->up($url, 'work=2');
    clear_items();
    is($d->ask('work_insert', 'i:1'), 'ok 1', 'the first host that answers is taken');
    is(items(), 1, 'that is the second');

    $pg->psql('ALTER SYSTEM SET default_transaction_read_only = on');
    $pg->psql('SELECT pg_reload_conf()');
    wait_for('read-only', 10, sub { $pg->psql('SHOW default_transaction_read_only') eq 'on' });
    my @answers = map { $d->ask('work_insert', "i:$_") } 2 .. 6;
    is_deeply([ grep { !/^ok/ } @answers ], [], 'a host that takes no writes any more is left, the statement is sent to the next');
    is(items($other), 5, 'they are there');
    wait_for('all connections', 20, sub { $d->stats->{connecting} == 0 });
    is($pg->psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'verstak-sync-server'"), 0, 'nobody is left on the old one');

    $pg->psql('ALTER SYSTEM RESET default_transaction_read_only');
    $pg->psql('SELECT pg_reload_conf()');
    wait_for('writable', 10, sub { $pg->psql('SHOW default_transaction_read_only') eq 'off' });
    my $before = $d->stats->{reconnects};
    $other->stop('immediate');
    wait_for('all connections', 20, sub { $d->stats->{reconnects} == $before + 3 });
    is($d->ask('work_insert', 'i:7'), 'ok 7', 'and back again');
    is(items(), 2, 'on the first one');
    is_deeply([ $d->quit ], [], 'nothing else');

    my $n = Driver->new("postgresql://verstak\@no-such-host.invalid,localhost:$one/verstak?sslmode=disable&port=$one");
    is($n->ask('read', 'i:1'), 'ok 1', 'names are looked up; one that is not found does not hinder the others');
    $n->quit;
    my $never = Driver->new('postgresql://verstak:s3cret@no-such-host.invalid/verstak');
    wait_for('the reason in the log', 20, sub { $never->logged(qr/cannot reach the database: cannot look up host 'no-such-host.invalid'/) });
    unlike($never->log, qr/s3cret/, 'without the password');
    $never->say('submit r read 100 i:1');
    like($never->result('r'), qr/^unavailable/, 'nothing is connected');
    $never->quit;
};

subtest 'what is left at the end' => sub {
    my $d    = Driver->up($pg->url, 'work=1');
    my $lock = locked(102);
    $d->say('submit runs work_lock 15000 i:102', 'submit waits work 15000 i:1');
    wait_for('one that waits for the lock', 10, sub { running_pids('advisory_xact') == 1 });
    my @left = $d->quit;
    is_deeply([ sort @left ], [ 'done runs unknown the server is stopping', 'done waits unavailable the server is stopping' ], 'is answered');
};

subtest 'PgBouncer in transaction mode' => sub {
    plan skip_all => 'no pgbouncer' if !Verstak::PgBouncer::program();
    my $bouncer = Verstak::PgBouncer->new($pg, pool_size => 3);
    my $d       = Driver->up($bouncer->url, 'prepared=0', 'read=2', 'work=8');
    answers($d, 2);

    my $lock = locked(103);
    $d->say('submit w work_lock 15000 i:103');
    my ($pid) = @{ wait_for('a backend', 10, sub { my @p = split /\n/, $pg->psql("SELECT pid FROM pg_stat_activity WHERE wait_event = 'advisory'"); @p && \@p }) };
    $pg->psql("SELECT pg_terminate_backend($pid)");
    like($d->result('w'), qr/^unknown /, 'a transaction whose server connection is lost');
    $lock->disconnect;
    is($d->ask('work', 'i:1'), 'ok 1', 'goes on');

    my $slow = Driver->up($bouncer->url, 'prepared=0', 'statement_timeout=300', 'work=1');
    $lock = locked(104);
    $slow->say('submit w work_lock 15000 i:104');
    like($slow->result('w'), qr/^unknown no answer to the statement 'work_lock' in time/, 'a statement that takes too long is given up');
    wait_for('it to be cancelled on the server', 10, sub { !running_pids_of_lock() });
    $slow->quit;

    $pg->restart('immediate');
    is($d->ask('work', 'i:2') =~ s/^(?:unknown|failed|unavailable).*/lost/r =~ /^(?:ok 2|lost)$/, 1, 'the server behind it is restarted');
    wait_for('it to work again', 20, sub { $d->ask('work', 'i:3') eq 'ok 3' });
    $d->quit;

    my $wrong = Driver->new($bouncer->url);
    wait_for('a reason', 10, sub { $wrong->logged(qr/cannot reach the database: .*unsupported startup parameter/) });
    pass('with prepared statements it is refused with a reason');
    $wrong->quit;
};

sub running_pids_of_lock () { return $pg->psql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'") }

done_testing;
