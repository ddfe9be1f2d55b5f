# The parts of `make bench`. Each starts servers of its own, measures by turns with its reference, and leaves nothing behind.
package Bench::Parts;
use v5.36;
use Bench::Figures qw(figure note median rounds seconds);
use Bench::Load    qw(wrk wrk_plain pgbench prober percentile);
use Bench::Nginx;
use Bench::SmtpSink;
use Digest::SHA qw(sha256);
use File::Temp;
use File::Basename qw(dirname);
use List::Util ();
use Verstak::Outbox;
use Verstak::Postgres;
use Verstak::Processes qw(slurp);
use Time::HiRes qw(time);
use Verstak::Server;
use Verstak::Smtp;
use Verstak::Wait qw(pause);

my $queries = dirname(__FILE__) . '/../../../sql/queries';

# A server as operators run it, but for the attempt limits and a quiet log.
sub server (%config) {
    return Verstak::Server->new(database => 'private', config => { 'password.cost' => 12, %config });
}

# Runs two measurements by turns and returns their values. The first turn of each warms up and does not count.
sub by_turns ($ours, $reference) {
    my (@ours, @reference);
    for my $round (0 .. rounds()) {
        my ($a, $b) = ($ours->(), $reference->());
        next if $round == 0;
        push @ours,      $a;
        push @reference, $b;
    }
    return (\@ours, \@reference);
}

sub scratch_file ($scratch, $name, $text) {
    open my $fh, '>', "$scratch/$name" or die "cannot write $scratch/$name: $!\n";
    print {$fh} $text;
    close $fh or die "cannot write $scratch/$name: $!\n";
    return "$scratch/$name";
}

# A directory that PostgreSQL's user can read, too.
sub scratch () {
    my $scratch = File::Temp->newdir('vss-bench-XXXXXX', TMPDIR => 1);
    chmod 0755, $scratch;
    return $scratch;
}

# $count devices in vaults of their own: file with their tokens, and the tokens.
sub devices ($server, $scratch, $count) {
    my ($name, $password) = $server->create_user('bench', 'bench password');
    my @tokens = map { $server->pair($name, $password, vault_id => "vault-$_") } 1 .. $count;
    return (scratch_file($scratch, 'tokens', join '', map { "$_\n" } @tokens), @tokens);
}

# A statement of the server with literals for its parameters, as a pgbench script.
sub script ($scratch, $name, $statement, $before, @parameters) {
    my $sql = slurp("$queries/$statement.sql");
    $sql =~ s/^--.*\n//mg;
    $sql =~ s/\$(\d+)/$parameters[$1 - 1] \/\/ die "$statement: no parameter $1\n"/ge;
    $sql =~ s/\s+\z//;
    return scratch_file($scratch, "$name.sql", "$before$sql" . ($sql =~ /;\z/ ? '' : ';') . "\n");
}

sub bytea ($bytes) {
    return "'\\x" . unpack('H*', $bytes) . "'";
}

# --- health ----------------------------------------------------------------------------------------------------------

sub part_health () {
    my $scratch  = scratch();
    my $server   = server('server.workers' => 1);
    my $response = $server->request(GET => '/api/v1/health');
    my $headers  = join '', map { "$_: " . $response->header($_) . "\n" }
        grep { !/\A(?:date|connection|content-length|server)\z/ } $response->header_names;
    my $pid = open my $pipe, '-|', "$ENV{VERSTAK_BUILD}/t/bench/bare_h2o", scratch_file($scratch, 'body', $response->body),
        scratch_file($scratch, 'headers', $headers)
        or die "cannot run bare_h2o: $!\n";
    chomp(my $bare = <$pipe>);
    my ($ours, $reference) = by_turns(
        sub { wrk_plain('http://127.0.0.1:' . $server->port . '/api/v1/health', 1, 64) },
        sub { wrk_plain("http://127.0.0.1:$bare/api/v1/health",                 1, 64) }
    );
    figure('health, 64 connections, one worker / bare libh2o', $ours, $reference, 'req/s', least => 0.8);
    kill TERM => $pid;
    close $pipe;
    $server->stop;
    return;
}

# --- push ------------------------------------------------------------------------------------------------------------

# $token: a device's token, or an expression in brackets for its hash.
sub push_script ($scratch, $number, $token, $operations) {
    my $array = sub ($expression, $type = 'text') {
        return $operations == 1 ? "ARRAY[$expression]" : "(SELECT array_agg(($expression)::$type) FROM generate_series(1, $operations) i)";
    };
    my $i       = $operations == 1 ? '1' : 'i';
    my $payload = '{"text":"' . 'verstak ' x 32 . '"}';
    return script(
        $scratch, "push-$number", 'sync_push', "\\set r random(1, 1000000000000)\n",
        $token =~ /\A\(/ ? $token : bytea(sha256($token)), "''",
        $array->("'p' || :r::text || '-' || $i"), $array->("'note'"), $array->("'Notes/' || (:r::bigint % 1000)::text || '.md'"),
        $array->("'update'"), $array->("'$payload'"), $array->($i, 'bigint'), $array->('0', 'bigint'),
        $array->("'2026-11-22T10:15:00Z'"), "'{}'", "'{}'"
    );
}

sub part_push () {
    for my $operations (1, 100) {
        my $scratch = scratch();
        my $server  = server();
        my ($tokens, @tokens) = devices($server, $scratch, 64);
        my @scripts = map { push_script($scratch, $_, $tokens[$_], $operations) } 0 .. $#tokens;
        my ($ours, $reference) = by_turns(
            sub { wrk($server->port, 2, 32, 'push', $tokens, $operations) },
            sub { pgbench($server, 32, @scripts) }
        );
        figure("push of $operations, 32 connections, 64 vaults / pgbench", $ours, $reference, 'push/s', least => 0.85);
        what_limits_pushes($server, $scratch) if $operations == 1;
        $server->stop;
    }
    return;
}

# Vaults with a device each, straight into the database: pairing thousands would take hours. Returns their number; ids are 1…
sub crowd ($server, $count) {
    my $dbh = $server->dbh;
    $dbh->do(
        q{WITH made AS (INSERT INTO vaults (user_id, vault_key) SELECT (SELECT min(id) FROM users), 'crowd-' || i
                        FROM generate_series(1, ?::int) i RETURNING id, user_id)
          INSERT INTO devices (public_id, vault_id, user_id, name, token_hash, token_first, token_last, last_seen)
          SELECT 'dev_' || lpad(to_hex(id), 24, '0'), id, user_id, 'crowd', sha256(int8send(id)), '00000000', '0000', now() + interval '1 day'
          FROM made ORDER BY id}, undef, $count
    );
    $dbh->do('VACUUM ANALYZE vaults, devices');
    my ($first) = $dbh->selectrow_array(q{SELECT min(id) FROM devices WHERE name = 'crowd'});
    $dbh->disconnect;
    return $first;
}

# What the commits cost, and what combining eight pushes in one transaction would bring; all through pgbench, over 4096 vaults.
sub what_limits_pushes ($server, $scratch) {
    my $first = crowd($server, 4096);
    my $token = "(SELECT token_hash FROM devices WHERE id = $first + :v)";
    my $push  = slurp(push_script($scratch, 'crowd', $token, 1)) =~ s/\A\\set .*\n//r;
    my $set   = '\set r random(1, 1000000000000)' . "\n";
    my $one   = scratch_file($scratch, 'one.sql', $set . '\set v random(0, 4095)' . "\n$push");
    # In the order of the vaults, so that nothing deadlocks.
    my $eight = scratch_file($scratch, 'eight.sql',
        $set . '\set g random(0, 511)' . "\nBEGIN;\n" . join('', map { "\\set v :g * 8 + $_\n$push" } 0 .. 7) . "COMMIT;\n");
    my ($unsynced, $synced) = by_turns(
        sub { local $ENV{PGOPTIONS} = '-c synchronous_commit=off'; pgbench($server, 32, $one) },
        sub { pgbench($server, 32, $one) }
    );
    figure('pgbench, pushes of 1 without waiting for the disk / as they are', $unsynced, $synced, 'push/s');
    my ($together, $single) = by_turns(sub { 8 * pgbench($server, 32, $eight) }, sub { pgbench($server, 32, $one) });
    figure('pgbench, 8 pushes of 1 in one transaction / one each', $together, $single, 'push/s');
    return;
}

# --- pull ------------------------------------------------------------------------------------------------------------

# Fills the vault of a device up to $total operations, as pushes would have left it.
sub fill ($server, $token, $total) {
    my $dbh = $server->dbh;
    my ($vault, $device) = $dbh->selectrow_array('SELECT vault_id, public_id FROM devices WHERE token_hash = ?::bytea', undef,
        '\\x' . unpack 'H*', sha256($token));
    $dbh->do(
        q{INSERT INTO operations (vault_id, sequence, client_sequence, last_seen, received_at, device, op_id, entity_type, entity_id, op_type, created_at, payload)
          SELECT ?, i, i, 0, now(), ?, 'fill-' || i, 'note', 'Notes/' || i % 1000 || '.md', 'update', '2026-11-22T10:15:00Z',
                 '{"text":"' || repeat('verstak ', 32) || '"}' FROM generate_series(1, ?::bigint) i},
        undef, $vault, $device, $total
    );
    $dbh->do('UPDATE vaults SET last_sequence = ? WHERE id = ?', undef, $total, $vault);
    $dbh->do('VACUUM ANALYZE operations');
    return $dbh->disconnect;
}

sub part_pull () {
    my $scratch = scratch();
    my $server  = server();
    my (undef, $small, $large) = devices($server, $scratch, 2);
    fill($server, $small, 100);
    fill($server, $large, 1_000_000);
    my $small_file = scratch_file($scratch, 'small', "$small\n");
    my $large_file = scratch_file($scratch, 'large', "$large\n");
    my @limits     = (100, 4 * 1024 * 1024);
    my $script     = script($scratch, 'pull', 'sync_pull', '', bytea(sha256($small)), 0, @limits);
    my ($ours, $reference) = by_turns(
        sub { wrk($server->port, 2, 32, 'pull', $small_file, 0) },
        sub { pgbench($server, 32, $script) }
    );
    figure('pull of a page of 100, 32 connections / pgbench', $ours, $reference, 'page/s', least => 0.7);
    my ($from_small, $from_large) = by_turns(
        sub { wrk($server->port, 2, 32, 'pull', $small_file, 0) },
        sub { wrk($server->port, 2, 32, 'pull', $large_file, 999_900) }
    );
    figure('page from a vault of 100 / of 1,000,000', $from_small, $from_large, 'page/s', most => 1.2);
    $server->stop;
    return;
}

# --- blobs -----------------------------------------------------------------------------------------------------------

use constant MEBIBYTE => 1024 * 1024;

# A file of random bytes (what is the same twice would be stored once), and curl's MB/s for a transfer.
sub random_file ($path, $mebibytes) {
    system("head -c $mebibytes" . "M /dev/urandom >'$path'") == 0 or die "cannot write $path\n";
    return $path;
}

sub curl_rate ($what, @arguments) {
    my @command = ('curl', '-sS', '--fail', '-o', '/dev/null', '-w', '%{time_total}', @arguments);
    open my $pipe, '-|', @command or die "cannot run curl: $!\n";
    my $time = <$pipe>;
    close $pipe or die "curl failed: $what\n";
    return 256 * MEBIBYTE / 1e6 / $time;
}

sub anonymous ($pid) {
    return (slurp("/proc/$pid/smaps_rollup") =~ /^Anonymous:\s+(\d+)/m ? $1 : 0) * 1024;
}

# Pages that the kernel has yet to write, and how many it lets there be before it begins.
sub dirty_pages () {
    my %count = slurp('/proc/vmstat') =~ /^(\w+) (\d+)$/mg;
    return @count{qw(nr_dirty nr_dirty_background_threshold)};
}

# Rates of uploads of 256 MiB that follow each other, each of new content. Those before the kernel begins to write do not
# count: so long a server that does not sync fills memory, and afterwards it is as fast as the disk takes its files.
sub one_behind_the_other ($file, $upload) {
    my ($number, $settled, @rates) = (0, 0);
    system('sync') == 0 or die "sync failed\n";
    while (@rates < 3 * rounds()) {
        open my $fh, '+<:raw', $file or die "cannot change $file: $!\n";
        print {$fh} pack 'Q', ++$number;
        close $fh or die "cannot change $file: $!\n";
        my $rate = $upload->($number);
        push @rates, $rate if $settled;
        my ($dirty, $most) = dirty_pages();
        $settled ||= $dirty >= $most || $number >= 20;
    }
    return \@rates;
}

# What both can promise when they answer is the same only with fsync: a 200 of ours says that the blob is on the disk.
sub upload_figures ($upload, $put, $file, $nginx) {
    my $number = 0;
    my $ours   = sub {
        random_file($file, 256);
        system('sync') == 0 or die "sync failed\n";    # nobody pays for the bytes of the turn before
        return $upload->();
    };
    my $nginx_into_memory = sub {
        system('sync') == 0 or die "sync failed\n";
        return $put->('blob' . ++$number);
    };
    my $nginx_onto_disk = sub {
        my $rate  = $nginx_into_memory->();
        my $start = time;
        system('sync', '-d', $nginx->file("blob$number")) == 0 or die "sync failed\n";
        return 256 * MEBIBYTE / 1e6 / (256 * MEBIBYTE / 1e6 / $rate + time - $start);
    };
    figure('upload of 256 MiB / nginx WebDAV PUT and fsync',       by_turns($ours, $nginx_onto_disk),   'MB/s', least => 0.9);
    figure('upload of 256 MiB / nginx WebDAV PUT into free memory', by_turns($ours, $nginx_into_memory), 'MB/s', least => 0.9);
    my $nginx_rates = one_behind_the_other($file, sub ($n) { $put->("long$n") });
    unlink glob $nginx->file('long*');
    figure('uploads of 256 MiB behind each other / nginx WebDAV PUT', one_behind_the_other($file, sub ($n) { $upload->() }), $nginx_rates, 'MB/s', least => 0.9);
    return;
}

sub part_blobs () {
    my $scratch = scratch();
    my $server  = server('server.workers' => 1, 'limits.vault_quota' => '64GiB', 'limits.user_quota' => '64GiB');
    my (undef, $token) = devices($server, $scratch, 1);
    my $nginx  = Bench::Nginx->new;
    my $url    = 'http://127.0.0.1:' . $server->port . '/api/v1/blobs/';
    my @bearer = ('-H', "Authorization: Bearer $token");
    my $file   = random_file("$scratch/blob", 256);
    my $put    = sub ($name) { curl_rate('PUT', '-T', $file, $nginx->url . "/$name") };
    my ($worker) = $server->pids_of('worker');
    my $before = anonymous($worker);
    my $most   = $before;
    my $ours   = sub ($what, @arguments) {
        my $rate = curl_rate($what, @bearer, @arguments);
        $most = List::Util::max($most, anonymous($worker));
        return $rate;
    };
    my $upload = sub { $ours->('upload', '-F', "file=\@$file", $url) };
    upload_figures($upload, $put, $file, $nginx);

    # One takes less than a tenth of a second: a turn is the median of several.
    chomp(my $sha256 = `sha256sum '$file' | cut -c1-64`);
    $put->('blob');
    my $several = sub ($get) {
        return sub { median(map { $get->() } 1 .. 7) }
    };
    my $download = sub { $ours->('download', $url . $sha256) };
    figure('download of 256 MiB / nginx GET', by_turns($several->($download), $several->(sub { curl_rate('GET', $nginx->url . '/blob') })), 'MB/s', least => 0.9);
    note('anonymous memory of a worker grown by', ($most - $before) / MEBIBYTE, 'MiB', most => 32);
    my @latency = prober(
        $server->port,
        sub {
            for (1 .. 2) {
                random_file($file, 256);
                $upload->();
                $download->() for 1 .. 3;
            }
        }
    );
    note('health p99 during up- and downloads', percentile(0.99, @latency), 'ms', most => 20);
    $server->stop;
    return;
}

# --- mail ------------------------------------------------------------------------------------------------------------

# Seconds until $count mails, which were in the outbox when the mailer began, are sent.
sub drain ($server, $outbox, $count) {
    state $number = 0;
    my ($mailer) = $server->pids_of('mailer');
    kill STOP => $mailer;
    $outbox->notices(map { 'drain-' . ++$number . '@example.org' } 1 .. $count);
    my $start = time;
    kill CONT => $mailer;
    my $left = $outbox->dbh->prepare('SELECT 1 FROM email_outbox WHERE finished_at IS NULL LIMIT 1');
    while ($outbox->dbh->selectrow_array($left)) {
        pause(0.005);
        die "the outbox does not drain\n" if time > $start + 600;
    }
    return time - $start;
}

# A message as the server sends it.
sub real_message () {
    my $smtp   = Verstak::Smtp->new;
    my $server = server($smtp->config);
    Verstak::Outbox->new($server)->notice('drain-1@example.org');
    my $raw = $smtp->mail_to('drain-1@example.org')->raw;
    $server->stop;
    return $raw;
}

# curl's configuration for $count mails one after another over one connection.
sub curl_mails ($scratch, $port, $count) {
    my $message = scratch_file($scratch, 'message', real_message());
    my @mail    = map {
        qq(url = "smtp://127.0.0.1:$port/example.org"\nmail-from = "verstak\@example.org"\nmail-rcpt = "drain-$_\@example.org"\nupload-file = "$message"\n)
    } 1 .. $count;
    return scratch_file($scratch, 'curl', join "next\n", @mail);
}

sub part_mail () {
    my $count   = $ENV{BENCH_MAILS} // 5000;
    my $scratch = scratch();
    my $sink    = Bench::SmtpSink->new;
    my $curl    = curl_mails($scratch, $sink->port, $count);
    my $server  = server('smtp.host' => '127.0.0.1', 'smtp.port' => $sink->port, 'smtp.security' => 'none', 'smtp.from' => 'verstak@example.org');
    my $outbox  = Verstak::Outbox->new($server);
    my ($ours, $reference) = by_turns(
        sub { $count / drain($server, $outbox, $count) },
        sub {
            my $start = time;
            system('curl', '-sS', '-K', $curl) == 0 or die "curl failed\n";
            return $count / (time - $start);
        }
    );
    figure("$count mails out of the outbox to Postfix's smtp-sink / curl, one after another over one connection", $ours, $reference, 'mail/s', least => 1);
    my $rate;
    my @latency = prober($server->port, sub { $rate = 10_000 / drain($server, $outbox, 10_000) });
    note('mails a second while 10,000 drain and health is asked', $rate, 'mail/s');
    note('health p99 while 10,000 mails drain', percentile(0.99, @latency), 'ms', most => 20);
    $server->stop;
    return;
}

# --- latency and memory ------------------------------------------------------------------------------------------------

sub part_latency () {
    my $scratch = scratch();
    my $server  = server('password.queue' => 200, 'http.request_timeout' => '60s');
    my ($tokens) = devices($server, $scratch, 1);
    my $rate;
    my @latency = prober($server->port, sub { $rate = wrk($server->port, 1, 50, 'pair', $tokens) });
    note('pairings with 50 clients', $rate, '1/s');
    note('health p99 with 50 clients pairing', percentile(0.99, @latency), 'ms', most => 20);
    $server->stop;
    return;
}

sub status_kib ($pid, $key) {
    return slurp("/proc/$pid/smaps_rollup") =~ /^$key:\s+(\d+)/m ? $1 : 0;
}

sub part_memory () {
    my $server = server('server.workers' => 1, 'http.idle_timeout' => '10m', 'http.max_connections' => 11_000);
    my @pids = map { $server->pids_of($_) } qw(master worker mailer janitor);
    note('our processes at rest, one worker: sum of RSS', List::Util::sum(map { status_kib($_, 'Rss') } @pids) / 1024, 'MiB');
    note('our processes at rest, one worker: sum of PSS', List::Util::sum(map { status_kib($_, 'Pss') } @pids) / 1024, 'MiB');
    my ($worker) = $server->pids_of('worker');
    my $before = status_kib($worker, 'Rss');
    my $count  = 10_000;
    my @idle;
    for (1 .. $count) {
        my $connection = $server->connect;
        $connection->request(GET => '/livez') or die "connection $_ got no answer\n";
        push @idle, $connection;
    }
    note("a worker's growth with $count idle connections", (status_kib($worker, 'Rss') - $before) / 1024, 'MiB');
    @idle = ();
    $server->stop;
    return;
}

1;
