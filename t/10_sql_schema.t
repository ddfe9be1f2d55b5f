# The schema: it can be applied, again too; every statement prepares, keeps the conventions of sql/README, and does nothing for
# a caller it does not know.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Verstak::Processes qw(slurp);
use Verstak::Schema;

my $schema = Verstak::Schema->new(empty => 1);
my $dbh    = $schema->connect;
my $readme = slurp(Verstak::Schema::sql_dir() . '/README');
my %query  = %{ Verstak::Schema::queries() };

$schema->apply(Verstak::Schema::files());
$schema->apply(grep { !m{/migrations/} } Verstak::Schema::files());
pass('bootstrap and functions can be applied again');

is_deeply(
    [map { /(\d{4})_[a-z0-9_]+\.sql$/a ? $1 : "bad name $_" } sort glob Verstak::Schema::sql_dir() . '/migrations/*'],
    [map { sprintf '%04d', $_ } 1 .. scalar(() = glob Verstak::Schema::sql_dir() . '/migrations/*')],
    'migrations are numbered without gaps'
);

# A value of each type that a parameter may have.
my %sample = (
    'bytea'    => '\x' . 'ab' x 32,
    'text'     => 'nobody',
    'bigint'   => 1,
    'integer'  => 1,
    'boolean'  => 't',
    'text[]'   => '{nobody}',
    'bigint[]' => '{1}',
    'bytea[]'  => '{}',
);
my %output = map { $_ => 1 } qw(int4 int8 bool text bytea timestamptz);

sub contents ($dbh) {
    my $tables = $dbh->selectcol_arrayref(
        q{SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace ORDER BY 1});
    return join "\n", map { my $table = $_; map { "$table $_" } sort @{ $dbh->selectcol_arrayref("SELECT t::text FROM $table t") } } @$tables;
}

my $before = contents($dbh);
my $callers = 0;
for my $name (sort keys %query) {
    subtest $name => sub {
        my ($first, $second) = split /\n/, $query{$name};
        like($first, qr/\A-- lane: (read|work)\z/, 'first line names the lane');
        like($second, qr/\A-- [A-Z].*\.\z/, 'second line is a sentence');
        like($readme, qr/^  \Q$name\E +[(\$]/m, 'sql/README has it');
        $dbh->do("PREPARE $name AS $query{$name}");
        my ($types) = $dbh->selectrow_array('SELECT parameter_types::text[] FROM pg_prepared_statements WHERE name = ?'
                =~ s/\?/\$1/r, undef, $name);
        is_deeply([grep { !exists $sample{$_} } @$types], [], 'parameters have types that the server binds');

        $dbh->begin_work;
        $dbh->do('SET TRANSACTION READ ONLY') if $first =~ /read/;
        my $handle = $dbh->prepare($query{$name});
        $handle->execute(map { $sample{$_} } @$types);
        my @names  = @{ $handle->{NAME} };
        my @types  = @{ $handle->{pg_type} };
        is_deeply([grep { !$output{$_} } @types], [], 'columns have types that the server reads');
        my $rows = $handle->fetchall_arrayref;
        if ($names[0] eq 'auth' && $name !~ /\A(?:pair_finish|user_login)\z/) {
            $callers++;
            my @head = $name =~ /\A(?:admin|user)_/ ? qw(auth user_name) : qw(auth user_name touch);
            is_deeply([@names[0 .. $#head]], \@head, 'begins with the columns of its kind of caller');
            my @nothing = (1, undef, @head == 3 ? 0 : ());
            is_deeply($rows, [[@nothing, (undef) x (@names - @nothing)]], 'one row for an unknown caller');
            $dbh->commit;
            is(contents($dbh), $before, 'an unknown caller changes nothing');
        } else {
            unlike($query{$name}, qr/device_principals|user_principals|admin_principal/, 'asks for no caller');
            $dbh->rollback;
        }
    };
}
cmp_ok($callers, '>=', 35, "$callers statements ask who calls");

done_testing;
