# db/session.h and db/migrations.h against real databases: t/unit/test_db_session.c says what its commands are.
use v5.36;
use Test::More;
use File::Temp ();
use FindBin;
use lib "$FindBin::Bin/lib";
use IPC::Open2;
use Verstak::PgBouncer;
use Verstak::Postgres;
use Verstak::Processes qw(slurp);
use Verstak::Wait qw(wait_for);

my $program = $ENV{VERSTAK_TEST_DB_SESSION} // ($ENV{VERSTAK_BUILD} // '.') . '/t/unit/test_db_session';
plan skip_all => "'$program' is not built" if !-x $program;

package Session {

    sub new ($class, @arguments) {
        my $self = bless { log => File::Temp->new }, $class;
        local $ENV{TEST_DB_SESSION_LOG} = "$self->{log}";
        $self->{pid} = IPC::Open2::open2($self->{out}, $self->{in}, split(' ', $ENV{VERSTAK_TEST_WRAP} // ''), $program, @arguments);
        return $self;
    }

    sub say ($self, $command) { syswrite $self->{in}, "$command\n"; return $self }
    sub answer ($self) { return (readline($self->{out}) // 'nothing') =~ s/\n\z//r }
    sub ask ($self, $command) { return $self->say($command)->answer }

    sub quit ($self) {
        close $self->{in};
        Test::More::is($self->answer, 'bye', 'leaves');
        waitpid $self->{pid}, 0;
        return Test::More::is($?, 0, 'well');
    }
}

my $pg = Verstak::Postgres->new;
my $audit = 'run audit_add t:operator t:test t:subject t:127.0.0.1 t:detail';

sub backend () { return $pg->psql("SELECT pid FROM pg_stat_activity WHERE application_name = 'verstak-sync-server'") }
sub kill_backend () {
    $pg->psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'verstak-sync-server'");
    return wait_for('it to be gone', 10, sub { backend() eq '' });
}
sub audit_rows () { return $pg->psql(q{SELECT count(*) FROM audit_log WHERE action = 'test'}, dbname => 'verstak') }

subtest 'migrations' => sub {
    # several hosts start at the same time on an empty database
    my @hosts = map { Session->new($pg->url) } 1 .. 4;
    $_->say('migrate') for @hosts;
    is_deeply([ map { $_->answer } @hosts ], [ ('done') x 4 ], 'four at once bring an empty database up');
    my $applied = join '', map { slurp("$_->{log}") } @hosts;
    is(scalar(() = $applied =~ /applied migration 0001_core/g), 1, 'each migration once');
    is($pg->psql('SELECT count(*) > 0 FROM schema_functions', dbname => 'verstak'), 't', 'and the functions');
    $_->quit for @hosts;

    my $s = Session->new($pg->url);
    is($s->ask('migrate'), 'done', 'again');
    unlike(slurp("$s->{log}"), qr/applied/, 'nothing was left to do');
    $pg->psql(q{UPDATE schema_functions SET sha256 = 'x' WHERE name = (SELECT min(name) FROM schema_functions)}, dbname => 'verstak');
    is($s->ask('migrate'), 'done', 'with a function file that has changed');
    is(scalar(() = slurp("$s->{log}") =~ /applied functions/g), 1, 'that one is applied again');

    $pg->psql(q{INSERT INTO schema_migrations (version, name, sha256) VALUES (9999, '9999_future', 'x')}, dbname => 'verstak');
    like($s->ask('migrate'), qr/^refused the database has migration '9999_future'.*newer version/, 'a schema from the future is refused');
    $pg->psql('DELETE FROM schema_migrations WHERE version = 9999', dbname => 'verstak');
    $pg->psql(q{UPDATE schema_migrations SET sha256 = 'x' || sha256 WHERE version = 1}, dbname => 'verstak');
    like($s->ask('migrate'), qr/^refused migration '0001_core' was applied .* with another text/, 'so is one whose migrations differ');
    $pg->psql(q{UPDATE schema_migrations SET sha256 = substr(sha256, 2) WHERE version = 1}, dbname => 'verstak');
    is($s->ask('migrate'), 'done', 'put right, it is done');

    my $url = $pg->create_database('broken');
    $pg->psql('CREATE TABLE users (x int)', dbname => 'broken', user => 'verstak');
    my $b = Session->new($url);
    like($b->ask('migrate'), qr/^refused ERROR: .*"users" already exists.*\(in migration '0001_core'; nothing of it was applied\)$/, 'one that fails');
    is($pg->psql(q{SELECT count(*) FROM pg_class WHERE relname = 'vaults'}, dbname => 'broken'), 0, 'leaves nothing behind');
    is($pg->psql(q{SELECT count(*) FROM schema_migrations}, dbname => 'broken'), 0, 'and is not counted');
    $pg->psql('DROP TABLE users', dbname => 'broken', user => 'verstak');
    is($b->ask('migrate'), 'done', 'and can be done later in the same session');
    $b->quit;

    $pg->psql(q{CREATE DATABASE latin OWNER verstak ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0});
    my $l = Session->new($pg->url(dbname => 'latin'));
    like($l->ask('migrate'), qr/^refused the database's encoding is LATIN1/, 'another encoding');
    $l->quit;
    $s->quit;
};

subtest 'statements' => sub {
    my $s = Session->new($pg->url);
    is($s->ask('fd'), 'not connected', 'nothing before the first call');
    is($s->ask('run health'), 'ok 1', 'connects by itself');
    is($s->ask('fd'), 'connected', 'and stays');
    is($s->ask($audit), 'ok 1', 'a transaction');
    like($s->ask('exec SELECT 1 / 0'), qr/^error ERROR:  division by zero/, 'an error of SQL text');
    like($s->ask('run audit_add t:a'), qr/^failed 08P01 bind message supplies 1 parameters/, 'an error of a statement');
    is($s->ask('run health'), 'ok 1', 'it goes on');

    kill_backend();
    is($s->ask('run health'), 'ok 1', 'a lost idle connection is replaced before a statement is sent');
    kill_backend();
    is($s->ask('exec SELECT 1'), 'ok', 'before SQL text, too');

    is($s->ask('exec BEGIN'), 'ok', 'a transaction');
    is($s->ask($audit),       'ok 1', 'with a statement');
    kill_backend();
    like($s->ask($audit), qr/^unavailable the connection was lost within the transaction/, 'lost: its second statement does not run alone');
    like($s->ask($audit), qr/^unavailable /, 'nor the third');
    like($s->ask('exec COMMIT'), qr/^error the connection was lost within the transaction/, 'its commit is an error');
    is($s->ask('run health'), 'ok 1', 'then all is well');
    is(audit_rows(), 1, 'nothing of it was written');
    is($s->ask('exec BEGIN'), 'ok', 'another one');
    kill_backend();
    like($s->ask('exec SELECT 1'), qr/^error the connection was lost within/, 'lost again');
    is($s->ask('exec ROLLBACK'), 'ok', 'rolling it back is no error');
    is($s->ask('run health'), 'ok 1', 'and all is well');

    my $lock = $pg->dbh(attr => { AutoCommit => 0 });
    $lock->do('LOCK TABLE audit_log');
    like($s->ask($audit), qr/^failed 55P03 /, 'a statement that waits too long for a lock is ended by the server');
    $pg->freeze;
    like($s->ask('run health'), qr/^unavailable no answer in time/, 'a read on a database that hangs');
    like($s->ask('run health'), qr/^unavailable no answer in time \(database\.connect_timeout\)/, 'connecting to it');
    $pg->thaw;
    $lock->rollback;
    is($s->ask('run health'), 'ok 1', 'it wakes up');
    $pg->freeze;
    like($s->ask($audit), qr/^(?:unavailable|unknown) no answer in time/, 'a transaction');
    $pg->thaw;

    $pg->stop('immediate');
    like($s->ask('run health'), qr/^unavailable .*No such file/, 'a database that is gone');
    like($s->ask('migrate'), qr/^unreachable .*No such file/, 'migrations: try again');
    $pg->start;
    is($s->ask('run health'), 'ok 1', 'and is back');
    $s->quit;

    my $bad = Session->new('postgresql://u:hunter2@x@y/db');
    like($bad->ask('migrate'), qr/^refused database\.url is no libpq connection string(?!.*hunter2)/, 'trying again does not help a bad string');
    $bad->quit;
};

subtest 'PgBouncer in transaction mode' => sub {
    plan skip_all => 'no pgbouncer' if !Verstak::PgBouncer::program();
    my $bouncer = Verstak::PgBouncer->new($pg, pool_size => 2);
    $pg->create_database('pooled');
    my @hosts = map { Session->new($bouncer->url(dbname => 'pooled'), 'unprepared') } 1 .. 3;
    $_->say('migrate') for @hosts;
    is_deeply([ map { $_->answer } @hosts ], [ ('done') x 3 ], 'migrations');
    is_deeply([ map { $_->ask('run health') } (@hosts) x 3 ], [ ('ok 1') x 9 ], 'statements');
    is($hosts[0]->ask($_->[0]), $_->[1], $_->[0]) for [ 'exec BEGIN', 'ok' ], [ $audit, 'ok 1' ], [ 'exec COMMIT', 'ok' ];
    $_->quit for @hosts;
};

done_testing;
