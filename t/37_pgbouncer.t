# The whole server through PgBouncer in transaction mode, with prepared statements switched off: start, clients, admin, janitor, restart.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Verstak::Load;
use Verstak::PgBouncer;
use Verstak::Postgres;
use Verstak::Server;
use Verstak::Wait qw(wait_until);

plan skip_all => 'no pgbouncer here' if !Verstak::PgBouncer::program();

my $pg      = Verstak::Postgres->new;
my $bouncer = Verstak::PgBouncer->new($pg, pool_size => 3);
my $server  = Verstak::Server->new(
    postgres => $pg,
    config   => {
        'database.url'                 => $bouncer->url,
        'database.prepared_statements' => 'false',
        'retention.interval'           => '100ms',
    }
);

my ($name, $password) = $server->create_user;
my $token = $server->pair($name, $password);
is $server->push($token, map { Verstak::Server::op() } 1 .. 3)->{count}, 3, 'push';
is_deeply [ map { $_->{server_sequence} } $server->pull_all($token) ], [ 1 .. 3 ], 'pull';
my $blob = $server->upload($token, 'bytes through a pooler');
is $server->request(GET => "/api/v1/blobs/$blob->{sha256}", token => $token)->body, 'bytes through a pooler', 'blob';
is $server->admin(GET => '/admin/api/stats')->json->{operations}, 3, 'admin';
is $server->request(POST => '/api/client/pair', json => { login => $name, password => 'wrong' })->status, 401, 'a refusal';

# More workers' connections than the pooler has to the database: they take turns, and nothing is mixed up.
my $load = Verstak::Load->new($server, tokens => [ map { $server->new_device } 1 .. 6 ], blobs => 1, rest => 0);
ok wait_until(60, sub { $load->count > 600 }), 'six writers over three connections';
$load->stop;
is_deeply [ $load->defects ], [], 'every acknowledged operation and blob is there once, in order';

my $dbh = $pg->dbh;
$dbh->do(q{UPDATE admin_sessions SET expires_at = now() - interval '1 day'});
ok wait_until(20, sub { !$dbh->selectrow_array('SELECT count(*) FROM admin_sessions') }), 'the janitor works';

$server->restart;
is scalar(my @all = $server->pull_all($token)), 3, 'the same after a restart';
unlike $server->log_text, qr/prepared statement|error worker/, 'nobody stumbled over a statement prepared elsewhere';

done_testing;
