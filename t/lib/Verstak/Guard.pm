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
my ($failed, $keep, @directories);

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

# Ends what the guard guards; the subclass has shutdown(). The directory goes at the end of the test, when it is known
# whether it passed: an object that goes out of scope may go because the test dies.
sub finish ($self) {
    return if $self->{finished}++ || $self->{owner} != $$;
    delete $guards{ refaddr $self};
    $self->shutdown;
    push @directories, $self->{base};
    $keep = 1 if $self->{keep};
    return;
}

sub DESTROY ($self) {
    local ($@, $?, $!);
    $self->finish;
    return;
}

END {
    if ($$ == $owner) {
        my $status = $?;
        # Servers first: their database goes last. Copies of the references are not weak, so that none goes meanwhile.
        my @left = grep { defined } values %guards;
        $_->finish for sort { $b->rank <=> $a->rank } @left;
        my $test = Test::Builder->new;
        if ($status || $failed || $keep || $ENV{VERSTAK_TEST_KEEP} || !$test->is_passing) {
            $test->diag("kept $_") for @directories;
        } else {
            remove_tree(@directories);
        }
        $? = $status || ($failed ? 1 : 0);
    }
}

1;
