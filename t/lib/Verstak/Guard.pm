# What every guard of a test (Verstak::Postgres, Verstak::Server) shares: a temporary directory, removed with all that
# is in it unless the test failed, and an end that also comes when the test dies or is interrupted.
package Verstak::Guard;
use v5.36;
use File::Path   qw(remove_tree);
use File::Temp   qw(tempdir);
use Scalar::Util qw(refaddr weaken);
use Test::Builder;

my %guards;    # address => weak reference, of this process
my $owner = $$;
my $failed;

# Makes the test program fail although its tests passed, for what is only seen at its end.
sub fail_at_end () { $failed = 1; return }

# A test that is interrupted still runs END blocks and destructors.
for my $signal (qw(INT TERM HUP)) {
    $SIG{$signal} //= sub { exit 1 };    ## no critic
}

# Makes $self a guard with a directory of its own, named by $prefix and short enough for Unix sockets in it.
sub adopt ($class, $self, $prefix) {
    $self->{owner} = $$;
    $self->{base}  = tempdir("$prefix-XXXXXX", DIR => $ENV{VERSTAK_TEST_TMPDIR} // '/tmp');
    bless $self, $class;
    $guards{ refaddr $self} = $self;
    weaken $guards{ refaddr $self};
    return $self;
}

# Ends what the guard guards; the subclass has shutdown().
sub finish ($self) {
    return if $self->{finished}++ || $self->{owner} != $$;
    delete $guards{ refaddr $self};
    $self->shutdown;
    my $test = Test::Builder->new;
    if (!$test->is_passing || $self->{keep} || $ENV{VERSTAK_TEST_KEEP}) {
        $test->diag("kept $self->{base}");
        return;
    }
    remove_tree($self->{base});
    return;
}

sub DESTROY ($self) {
    local ($@, $?, $!);
    $self->finish;
    return;
}

# A test that died is a failed one, which Test::Builder does not know yet when this runs.
END {
    if ($$ == $owner) {
        my $status = $?;
        my @left   = grep { defined } values %guards;
        $_->{keep} = 1 for $status ? @left : ();
        # Servers first: their database goes last.
        $_->finish for sort { $b->rank <=> $a->rank } @left;
        $? = $status || ($failed ? 1 : 0);
    }
}

1;
