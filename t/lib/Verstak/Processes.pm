# Looking at and ending processes through /proc: used by Verstak::Postgres and Verstak::Server to leave nothing
# behind, and by tests that look at titles, states and descendants.
package Verstak::Processes;
use v5.36;
use Exporter      qw(import);
use Verstak::Wait qw(wait_until);
our @EXPORT_OK = qw(alive title parent descendants children_of in_session kill_all slurp running_uid adopt_orphans);

# Makes this process the parent of orphans among its descendants, so that a test finds what a crashed master left.
sub adopt_orphans () {
    require POSIX;
    my %prctl  = (x86_64 => 157, aarch64 => 167);
    my $number = $prctl{ (POSIX::uname())[4] } // return;
    syscall $number, 36, 1, 0, 0, 0;    # PR_SET_CHILD_SUBREAPER
    return;
}

sub slurp ($path) {
    open my $fh, '<:raw', $path or return;
    local $/ = undef;
    return scalar readline $fh;
}

# The state letter and parent of a process from /proc/PID/stat; the name in brackets may hold blanks and brackets.
sub stat_of ($pid) {
    my $stat = slurp("/proc/$pid/stat") // return;
    return $stat =~ /\A\d+ \(.*\) (\S) (\d+) /s ? ($1, $2) : ();
}

# True while the process runs; a zombie does not.
sub alive ($pid) {
    my ($state) = stat_of($pid) or return 0;
    return $state ne 'Z' && $state ne 'X';
}

sub parent ($pid) {
    return (stat_of($pid))[1];
}

# What ps shows: the argument vector, blanks between.
sub title ($pid) {
    my $line = slurp("/proc/$pid/cmdline") // return '';
    $line =~ s/\0+\z//;
    $line =~ s/\0/ /g;
    return $line;
}

# Processes of the session that $leader leads or led, whatever became of it.
sub in_session ($leader) {
    my @found;
    for my $pid (keys %{ all_parents() }) {
        my $rest = (slurp("/proc/$pid/stat") // next) =~ s/\A.*\) //sr;
        push @found, $pid if (split ' ', $rest)[3] == $leader;
    }
    return @found;
}

sub running_uid ($pid) {
    my $status = slurp("/proc/$pid/status") // return;
    return $status =~ /^Uid:\s+\d+\s+(\d+)/m ? $1 : ();
}

sub all_parents () {
    opendir my $proc, '/proc' or die "cannot open /proc: $!\n";
    my %parent;
    for my $pid (grep { /\A\d+\z/ } readdir $proc) {
        my ($state, $ppid) = stat_of($pid) or next;
        $parent{$pid} = $ppid if $state ne 'Z';
    }
    return \%parent;
}

sub children_of ($pid) {
    my $parent = all_parents();
    return sort { $a <=> $b } grep { $parent->{$_} == $pid } keys %$parent;
}

# Children, grandchildren and so on, parents before their children.
sub descendants ($pid) {
    my $parent = all_parents();
    my (@found, @look) = ();
    @look = ($pid);
    while (defined(my $of = shift @look)) {
        my @next = sort { $a <=> $b } grep { $parent->{$_} == $of } keys %$parent;
        push @found, @next;
        push @look,  @next;
    }
    return @found;
}

# Kills the processes given with SIGKILL and waits until they are gone; our own children are reaped.
sub kill_all (@pids) {
    kill KILL => @pids if @pids;
    wait_until(
        10,
        sub {
            waitpid $_, 1 for @pids;    # 1 is WNOHANG
            return !grep { alive($_) } @pids;
        }
    );
    return;
}

1;
