# contrib/backup.sh beside a server under load, contrib/restore.sh into a new data directory, and a server on that: every
# operation that was acknowledged before the backup began is there, and so is every blob that an operation refers to.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA qw(sha256_hex);
use Test::More;
use Verstak::Postgres;
use Verstak::Processes qw(slurp);
use Verstak::Server;

my $top    = "$FindBin::Bin/..";
my $server = Verstak::Server->new(database => 'private');
my $binary = Verstak::Server::binary();
my ($name, $password) = $server->create_user;
my $token  = $server->pair($name, $password);
my $target = "$server->{base}/backup";

# Runs a script: (status, output).
sub script (@command) {
    local $ENV{VERSTAK_BIN}         = $binary;
    local $ENV{VERSTAK_SERVER_USER} = Verstak::Postgres::run_as() // getpwuid $>;
    my $output = qx(@{[ join ' ', map { "'$_'" } @command ]} 2>&1);
    return ($? >> 8, $output);
}

# A blob and an operation that refers to it.
sub store ($bytes) {
    my $blob = $server->upload($token, $bytes);
    $server->push(
        $token,
        Verstak::Server::op(
            entity_type  => 'file', entity_id => "Files/$blob->{sha256}",
            payload_json => qq({"blob": {"sha256": "$blob->{sha256}", "size": $blob->{size}}})
        )
    );
    return $blob->{sha256};
}

my %content = map { my $bytes = "content $_ " x 500; (store($bytes) => $bytes) } 1 .. 5;
$server->push($token, map { Verstak::Server::op(payload_json => qq({"n": $_})) } 1 .. 50);

# More of the same while the backup runs.
defined(my $writer = fork) or die "cannot fork: $!\n";
if (!$writer) {
    local $SIG{TERM} = sub { POSIX::_exit(0) };
    my $n = 0;
    store("while the backup runs " . $n++) while 1;
}
my ($status, $output) = script("$top/contrib/backup.sh", '--data', $server->{data}, $target);
kill TERM => $writer;
waitpid $writer, 0;
is $status, 0, 'the backup is made beside the running server' or diag $output;
like $output, qr{^\Q$target\E/verstak-\d{8}T\d{6}Z\.dump$}m, 'it names the dump';
ok !-d "$target/blobs/tmp", 'unfinished uploads are not in it';

my $new = "$server->{base}/restored";
($status, $output) = script("$top/contrib/restore.sh", '--data', $new, $target);
is $status, 0, 'it can be restored' or diag $output;
my $key = slurp($server->data . '/secret.key') // '';
is length $key, 32, 'there is a key for the secrets among the settings';
is slurp("$new/secret.key"), $key, 'it comes back';
is sprintf('%o', (stat "$new/secret.key")[2] & 07777), '600', 'and is closed to others';
($status, $output) = script("$top/contrib/restore.sh", '--data', $new, $target);
is $status, 1, 'not over data that is there';
like $output, qr/is not empty/, 'in words';

# What is not there is named as it was given.
my $nothing = "$server->{base}/nothing";
($status, $output) = script("$top/contrib/backup.sh", '--data', $nothing, $target);
is $status, 1, 'no backup of a directory that is not there';
is $output, "backup: cannot open the data directory '$nothing'; --data names another\n", 'in words';
($status, $output) = script("$top/contrib/restore.sh", '--data', "$new.other", $nothing);
is $status, 1, 'no restore from one';
is $output, "restore: cannot open the backup '$nothing'\n", 'in words';
mkdir $nothing or die "cannot make $nothing: $!\n";
($status, $output) = script("$top/contrib/restore.sh", '--data', "$new.other", $nothing);
is $status, 1, 'no restore from an empty one';
is $output, "restore: no backup in '$nothing': no file verstak-TIME.dump is there\n", 'in words';

my $before = $server->pull($token)->{ops};
$server->stop;
local $server->{data} = $new;
$server->start;
my @after = $server->pull_all($token);
cmp_ok scalar @after, '>=', 55, 'every operation from before the backup is there';
is_deeply [ map { $_->{op_id} } @after[ 0 .. 54 ] ], [ map { $_->{op_id} } @$before[ 0 .. 54 ] ], 'in its order';
is_deeply [ map { $_->{server_sequence} } @after ], [ 1 .. @after ], 'without gaps';
my (@missing, @wrong);
for my $op (grep { $_->{entity_type} eq 'file' } @after) {
    my ($sha256) = $op->{entity_id} =~ /([0-9a-f]{64})/;
    my $response = $server->request(GET => "/api/v1/blobs/$sha256", token => $token);
    push @missing, $sha256 if $response->status != 200;
    push @wrong, $sha256 if sha256_hex($response->body) ne $sha256;
}
is_deeply [ \@missing, \@wrong ], [ [], [] ], 'and every blob that one of them refers to';
is_deeply $server->push($token, Verstak::Server::op(op_id => 'after'))->{accepted}, ['after'], 'the server goes on';

my ($blob) = glob "$target/blobs/??/??/*";
system 'cp', '-R', $target, "$target.damaged";
open my $fh, '>', $blob =~ s{\Q$target\E}{$target.damaged}r or die "cannot write: $!\n";
print $fh 'damaged';
close $fh;
($status, $output) = script("$top/contrib/restore.sh", '--data', "$server->{base}/third", "$target.damaged");
is $status, 1, 'a damaged blob is noticed';
like $output, qr/damaged, nothing was restored: .*FAILED/s, 'and named';

done_testing;
