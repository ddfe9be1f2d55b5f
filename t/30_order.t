# Order: no reader's cursor ever skips, doubles or reorders an acknowledged operation; with several writers and readers
# on one vault through several workers, and with transactions held open on purpose.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use DBD::Pg     qw(PG_BYTEA PG_ASYNC);
use Digest::SHA qw(sha256);
use List::Util  qw(max sum);
use POSIX       ();
use Storable    qw(retrieve store);
use Test::More;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);
use Verstak::Contract;
use Verstak::Postgres;
use Verstak::Server;
use Verstak::Wait qw(wait_for wait_until);

my $pg     = Verstak::Postgres->new;
my $server = Verstak::Server->new(postgres => $pg, config => { 'server.workers' => 4, 'limits.pull_operations' => 50,
        'database.statement_timeout' => '60s', 'http.request_timeout' => '50s' });
my @user   = $server->create_user;

sub op { goto &Verstak::Server::op }

# Runs $work in a process of its own; what it returns is what collect() gives.
my $job_number = 0;

sub background ($work) {
    my $file = $server->base . '/job' . ++$job_number;
    defined(my $pid = fork) or die "cannot fork: $!\n";
    return [ $pid, $file ] if $pid;
    my $result = eval { $work->() } // { error => $@ };
    store $result, $file;
    POSIX::_exit(0);
}

sub collect (@job) {
    return map { waitpid $_->[0], 0; retrieve $_->[1] } @job;
}

# A writer: pushes batches of one to five, often sends a batch again as if the answer had been lost, and looks now and
# then whether what was acknowledged shows through another connection.
sub writer ($token, $name, $batches) {
    srand unpack 'N', sha256($name);
    my $connection = $server->connect;
    my (@pushed, @invisible);
    my ($number, $cursor) = (0, 0);
    for my $batch (1 .. $batches) {
        my @op    = map { op(op_id => "$name-" . ++$number, entity_id => 'n' . int rand 5) } 0 .. rand 5;
        my $again = rand() < 0.2;
        for (0 .. $again) {
            my $start    = clock_gettime(CLOCK_MONOTONIC);
            my $response = $connection->request(POST => '/api/v1/sync/push', token => $token, json => { ops => \@op });
            die 'push: ' . ($response ? $response->describe : 'no answer') if !$response || $response->status != 200;
            my @ids = map { $_->{op_id} } @op;
            die "accepted @{$response->json->{accepted}}, not @ids" if "@{$response->json->{accepted}}" ne "@ids";
            push @pushed, { start => $start, end => clock_gettime(CLOCK_MONOTONIC), ids => \@ids };
        }
        next if $batch % 10;
        my @seen = $server->pull_all($token, $cursor);
        my %seen = map { $_->{op_id} => $_->{server_sequence} } @seen;
        push @invisible, grep { !$seen{$_} } map { $_->{op_id} } @op;
        $cursor = max(map { $_->{server_sequence} } @seen) // $cursor;
    }
    return { pushed => \@pushed, invisible => \@invisible, count => $number };
}

# A reader: follows the vault with its cursor until it has seen the last operation of every writer.
sub reader ($token, $name, $last) {
    srand unpack 'N', sha256($name);
    my %last = map { $_ => 1 } @$last;
    my ($cursor, $server_sequence) = (0, 0);
    my (@seen, @defect);
    my $connection = $server->connect;
    my $deadline   = clock_gettime(CLOCK_MONOTONIC) + 120 * Verstak::Wait::slowness();
    while (%last && clock_gettime(CLOCK_MONOTONIC) < $deadline) {
        $connection = $server->connect if rand() < 0.05;
        my $response = $connection->request(
            POST  => '/api/v1/sync/pull',
            token => $token,
            json  => { since_sequence => $cursor, page_limit => 1 + int rand 30 }
        );
        my $page     = $server->expect_ok($response, 'pull');
        my @sequence = map { $_->{server_sequence} } @{ $page->{ops} };
        push @defect, "after $cursor: @sequence" if "@sequence" ne join ' ', $cursor + 1 .. $cursor + @sequence;
        push @defect, "server_sequence went from $server_sequence to $page->{server_sequence}"
            if $page->{server_sequence} < $server_sequence;
        push @defect, "server_sequence $page->{server_sequence}, but an operation $sequence[-1]"
            if @sequence && $sequence[-1] > $page->{server_sequence};
        push @defect, "has_more is wrong at $page->{page_last_sequence} of $page->{server_sequence}"
            if !!$page->{has_more} != ($page->{page_last_sequence} < $page->{server_sequence});
        push @defect, "an empty page at $cursor of $page->{server_sequence}"
            if !@sequence && $page->{server_sequence} > $cursor;
        $server_sequence = $page->{server_sequence};
        push @seen, map { $_->{op_id} } @{ $page->{ops} };
        delete @last{ map { $_->{op_id} } @{ $page->{ops} } };
        $cursor = max($cursor, @sequence);
    }
    push @defect, "never saw @{[ sort keys %last ]}" if %last;
    return { seen => \@seen, defects => \@defect };
}

subtest 'writers and readers' => sub {
    my @writer  = map { "w$_" } 1 .. 4;
    my @vault   = (vault_id => 'shared');
    my %token   = map { $_ => $server->pair(@user, @vault) } @writer, 'r1', 'r2', 'r3';
    my $batches = $ENV{VERSTAK_TEST_LONG} ? 2000 : 150;
    # Each writer ends with one operation of a known name.
    my @job = map {
        my $name = $_;
        background(sub {
            my $result = writer($token{$name}, $name, $batches);
            $server->push($token{$name}, op(op_id => "$name-last"));
            return $result;
        })
    } @writer;
    my @reading = map {
        my $name = $_;
        background(sub {
            reader($token{$name}, $name, [ map { "$_-last" } @writer ]);
        })
    } qw(r1 r2 r3);
    my @wrote = collect(@job);
    my @read  = collect(@reading);
    is $_->{error}, undef, 'a process came to its end' for @wrote, @read;

    my @log = $server->pull_all($token{r1});
    is_deeply [ map { $_->{server_sequence} } @log ], [ 1 .. @log ], 'the log is gapless';
    is scalar @log, sum(map { $_->{count} + 1 } @wrote), 'it holds every operation once';
    my @ids = map { $_->{op_id} } @log;
    my %at  = map { $ids[$_] => $_ } 0 .. $#ids;
    is scalar keys %at, scalar @log, 'no operation twice';
    is_deeply $_->{defects},   [],    'no reader saw a gap, a doubling or a step back' for @read;
    is_deeply $_->{seen},      \@ids, 'every reader saw the whole log in its order'    for @read;
    is_deeply $_->{invisible}, [],    'what was acknowledged showed at once'           for @wrote;
    is_deeply [
        grep { !defined $at{$_} } map {
            map { @{ $_->{ids} } } @{ $_->{pushed} }
        } @wrote
        ],
        [], 'nothing acknowledged is lost';

    # A push that began after another was acknowledged stands behind it.
    my @pushed = sort { $a->{start} <=> $b->{start} } map { @{ $_->{pushed} } } @wrote;
    my @ended  = sort { $a->{end}   <=> $b->{end} } @pushed;
    my (%known, @wrong);
    my $behind = -1;
    for my $push (@pushed) {
        while (@ended && $ended[0]{end} < $push->{start}) {
            my $done = shift @ended;
            $behind = max($behind, map { $at{$_} } @{ $done->{ids} });
            $known{$_} = 1 for @{ $done->{ids} };
        }
        push @wrong, grep { !$known{$_} && $at{$_} < $behind } @{ $push->{ids} };
    }
    is_deeply \@wrong, [], 'the order of the log is the order in which pushes were acknowledged';
    # The operations of one push stand together, in its order.
    is_deeply [
        grep {
            my @position = @at{ @{ $_->{ids} } };
            "@position" ne join ' ', $position[0] .. $position[0] +
                $#position
        } @pushed
        ],
        [], 'the operations of one push stand together, in its order';
};

# A transaction in the database that has called sync_push for this token and is neither committed nor rolled back;
# async => 1 returns while it still waits for the vault's lock.
sub open_push ($token, $op, %option) {
    state $sql = do {
        open my $file, '<', "$FindBin::Bin/../sql/queries/sync_push.sql" or die "cannot open sync_push.sql: $!\n";
        join '', grep { !/\A--/ } readline $file;
    };
    my $dbh       = $pg->dbh(attr => { AutoCommit => 0 });
    my $statement = $dbh->prepare($sql, $option{async} ? { pg_async => PG_ASYNC } : {});
    my @field = qw(op_id entity_type entity_id op_type payload_json client_sequence last_seen_server_seq created_at);
    $statement->bind_param(1,      sha256($token), { pg_type => PG_BYTEA });
    $statement->bind_param(2,      '');
    $statement->bind_param($_ + 3, [ $op->{ $field[$_] } ]) for 0 .. $#field;
    $statement->bind_param(11,     '{}');
    $statement->bind_param(12,     '{}');
    $statement->execute;
    is $statement->fetchrow_hashref->{auth}, 0, 'sync_push ran in a transaction of its own' if !$option{async};
    return { dbh => $dbh, statement => $statement };
}

sub waits_for_lock ($count) {
    state $dbh = $pg->dbh;
    return wait_until(
        10,
        sub {
            $dbh->selectrow_array(
                q{SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = 'verstak'}) ==
                $count;
        }
    );
}

sub seen_after ($token, $cursor) {
    return join ' ', map { "$_->{server_sequence}:$_->{op_id}" } $server->pull_all($token, $cursor);
}

subtest 'two transactions held open' => sub {
    for my $first_ends (qw(commit rollback)) {
        my @vault = (vault_id => "held, $first_ends");
        my ($writer, $reader) = map { $server->pair(@user, @vault) } 1, 2;
        my $other = $server->pair(@user, vault_id => "beside, $first_ends");
        # Three more, for one of them would get no more than its share of a worker's connections.
        my @device = map { $server->pair(@user, @vault) } 1 .. 3;
        $server->push($writer, op(op_id => 'a'), op(op_id => 'b'));
        is seen_after($reader, 0), '1:a 2:b', 'before';

        my $one = open_push($writer, op(op_id => 'one'));
        my $two = open_push($reader, op(op_id => 'two'), async => 1);
        ok waits_for_lock(1), 'the second transaction waits for the first';
        my @connection = map { $server->connect } 0 .. 2;
        $connection[$_]
            ->send_request(POST => '/api/v1/sync/push', token => $device[$_], json => { ops => [ op(op_id => "http$_") ] })
            for 0 .. 2;
        ok waits_for_lock(4), 'so do three pushes';
        ok $_->is_silent,     'which are not acknowledged' for @connection;
        is seen_after($reader, 0),                    '1:a 2:b', 'a reader sees nothing of it';
        is $server->pull($reader)->{server_sequence}, 2,         'nor a greater server_sequence';
        is_deeply $server->push($other, op(op_id => 'beside'))->{accepted}, ['beside'], 'another vault is not held up';

        $one->{dbh}->$first_ends;
        ok wait_until(10, sub { $two->{dbh}->pg_ready }), 'the first ends, the second has its turn';
        $two->{dbh}->pg_result;
        my $base = $first_ends eq 'commit' ? '3:one' : '';
        is seen_after($reader, 2), $base, "after the $first_ends: what is committed, nothing of the second";
        ok waits_for_lock(3), 'the pushes wait for the second';
        my $cursor = $first_ends eq 'commit' ? 3 : 2;
        is $server->pull($reader)->{server_sequence}, $cursor, 'server_sequence says the same';
        $two->{dbh}->commit;
        is $_->response->status, 200, 'then the pushes are acknowledged' for @connection;
        my @got = $server->pull_all($reader, $cursor);
        is $got[0]{op_id}, 'two', 'the reader goes on from its cursor: the second';
        is_deeply [ sort map { $_->{op_id} } @got[ 1 .. 3 ] ], [qw(http0 http1 http2)],        'and the three';
        is_deeply [ map { $_->{server_sequence} } @got ],      [ $cursor + 1 .. $cursor + 4 ], 'without a gap';
        $_->{statement}->finish, $_->{dbh}->disconnect for $one, $two;
    }
};

for my $limit (qw(http.request_timeout database.statement_timeout)) {
    subtest "a push that waits longer than $limit is sent again" => sub {
        my $database = $limit =~ s/\W/_/gr;
        my $hasty    = Verstak::Server->new(
            postgres => $pg,
            config   => { 'database.url' => $pg->create_database($database), $limit => '1s', 'server.workers' => 2 }
        );
        my $token = $hasty->new_device;
        my $op    = op();
        my $lock  = $pg->dbh(dbname => $database, attr => { AutoCommit => 0 });
        $lock->do('SELECT 1 FROM vaults FOR UPDATE');
        my $late = $hasty->push_response($token, [$op], idempotency_key => 'k');
        is_error($late, 503, 'unavailable', 'a push that waits too long');
        like $late->header('Retry-After') // '', qr/\A[1-9]\d*\z/, 'Retry-After';
        is $hasty->pull($token)->{server_sequence}, 0, 'readers are not held up';
        $lock->rollback;
        my $again = is_json_answer($hasty->push_response($token, [$op], idempotency_key => 'k'), 'the same again');
        is_deeply $again->{accepted}, [ $op->{op_id} ], 'accepted';
        $hasty->push($token, my $next = op());
        is_deeply [ map { "$_->{server_sequence} $_->{op_id}" } $hasty->pull_all($token) ],
            [ "1 $op->{op_id}", "2 $next->{op_id}" ], 'stored once';
        $lock->disconnect;
    };
}

done_testing;
