# The migrated schema on a private cluster, and the statements of sql/queries as the server calls them. For the tests of the SQL
# itself; the server is not needed.
#
#   my $schema = Verstak::Schema->new;
#   my $dbh    = $schema->connect;                 as the role verstak
#   my $rows   = $schema->call($dbh, sync_pull => $token, 0, 100, 1 << 20);       array of hashes
#   my $row    = $schema->one($dbh, 'health');
#   $schema->start($dbh, sync_push => @parameters); $schema->blocked($dbh); $schema->result($dbh)
package Verstak::Schema;
use v5.36;
use DBD::Pg qw(:async);
use Digest::SHA qw(sha256_hex);
use FindBin;
use Verstak::Postgres;
use Verstak::Processes qw(slurp);
use Verstak::Wait qw(wait_for);

sub sql_dir () { return "$FindBin::Bin/../sql" }

# The statements' texts by name, without their comments at the top.
sub queries () {
    return { map { (m{([^/]+)\.sql$})[0] => slurp($_) } glob sql_dir() . '/queries/*.sql' };
}

sub files () {
    return (sql_dir() . '/bootstrap.sql', (sort glob sql_dir() . '/migrations/*.sql'), sort glob sql_dir() . '/functions/*.sql');
}

# Options are those of Verstak::Postgres; empty => 1 leaves the schema to the caller.
sub new ($class, %option) {
    my $self = bless { pg => Verstak::Postgres->new(%option), queries => queries() }, $class;
    $self->apply(files()) if !$option{empty};
    return $self;
}

sub pg ($self) { return $self->{pg} }

# Each file in one transaction, as the migrate process does.
sub apply ($self, @files) {
    my $dbh = $self->connect;
    for my $file (@files) {
        $dbh->begin_work;
        local $SIG{__WARN__} = sub { };    # notices of IF NOT EXISTS
        $dbh->do(slurp($file));
        $dbh->commit;
    }
    return;
}

sub connect ($self, %attribute) {    ## no critic
    my $dbh = $self->{pg}->dbh(user => 'verstak', attr => { pg_placeholder_dollaronly => 1, %attribute });
    $dbh->do('SET plan_cache_mode = force_generic_plan');    # as src/db/conninfo.c does
    return $dbh;
}

# Parameters: text as characters, bytea as made by bytes(), arrays as references.
sub start ($self, $dbh, $name, @parameters) {
    my $text = $self->{queries}{$name} // die "no statement '$name'\n";
    my $handle = $dbh->prepare($text, { pg_async => PG_ASYNC });
    $handle->execute(map { ref $_ eq 'ARRAY' ? array($_) : $_ } @parameters);
    $self->{running}{$dbh} = $handle;
    return;
}

sub result ($self, $dbh) {
    my $handle = delete $self->{running}{$dbh};
    $handle->pg_result;
    return $handle->fetchall_arrayref({});
}

sub call ($self, $dbh, $name, @parameters) {
    $self->start($dbh, $name, @parameters);
    return $self->result($dbh);
}

sub one ($self, $dbh, $name, @parameters) {
    my $rows = $self->call($dbh, $name, @parameters);
    die "$name gave " . @$rows . " rows\n" if @$rows != 1;
    return $rows->[0];
}

# Waits until the statement that was started on $dbh waits for a lock.
sub blocked ($self, $dbh) {
    my $watch = $self->{watch} //= $self->{pg}->dbh;
    wait_for('a statement to wait for a lock', 20, sub {
        return $watch->selectrow_array(q{SELECT 1 FROM pg_stat_activity WHERE pid = ? AND wait_event_type = 'Lock'},
            undef, $dbh->{pg_pid});
    });
    return 1;
}

sub bytes ($hex) { return "\\x$hex" }

# An array's text form, with every element quoted.
sub array ($list) {
    return '{' . join(',', map { (my $text = $_) =~ s/([\\"])/\\$1/g; qq("$text") } @$list) . '}';
}

# The token hash of a token that only tests know.
sub token ($name) { return bytes(sha256_hex("token $name")) }

sub device_id ($name) { return 'dev_' . substr sha256_hex("device $name"), 0, 24 }

sub user ($self, $dbh, $name, $email = q()) {
    return $self->one($dbh, user_add => $name, $email, "hash of $name")->{user_id} // die "cannot add user $name\n";
}

# Pairs the device $name of the user and returns its token hash.
sub pair ($self, $dbh, $user_id, $user, $name, $vault = q(), %option) {
    my $row = $self->one($dbh, pair_finish => $user_id, "hash of $user", $vault, device_id($name), token($name),
        '01234567', 'cdef', "device $name", '1.0', '192.0.2.1', $option{notice} // 'f', 1000, 1000);
    die "cannot pair $name\n" if $row->{auth} != 0;
    return token($name);
}

# The parameters of sync_push. Operations are hashes; what they do not say has a default.
sub push_parameters ($token, $ops, %option) {
    my $column = sub ($key, $default) { return [map { $_->{$key} // $default } @$ops] };
    return (
        $token, $option{key} // q(),
        $column->(op_id => q()), $column->(type => 'file'), $column->(id => 'a.md'), $column->(op => 'update'),
        $column->(payload => '{}'), $column->(client => 1), $column->(seen => 0),
        $column->(created_at => '2026-11-22T10:15:00Z'),
        $option{blobs} // [], $option{sizes} // [],
    );
}

1;
