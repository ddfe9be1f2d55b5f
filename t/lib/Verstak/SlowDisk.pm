# A disk that reads only so many bytes a second for one process, by a control group of its own (blkio, or io of version 2).
# Wants root and a machine that lets itself be limited so (with version 2 the `io` controller at the root): else new()
# returns nothing and says why in $why. Ends with the object.
package Verstak::SlowDisk;
use v5.36;

our $why = '';

sub put ($file, $text) {
    open my $fh, '>', $file or return 0;
    print {$fh} $text;
    return CORE::close $fh;
}

# major:minor of the disk that $path lies on; of a partition its whole disk.
sub disk_of ($path) {
    my $device = (stat $path)[0];
    my ($major, $minor) = (($device >> 8) & 0xfff, ($device & 0xff) | (($device >> 12) & 0xfff00));
    my $at = "/sys/dev/block/$major:$minor";
    return undef if !-e $at;
    open my $fh, '<', -e "$at/partition" ? "$at/../dev" : "$at/dev" or return undef;
    chomp(my $disk = <$fh>);
    return $disk;
}

# Groups that a killed test left behind: their processes have gone.
sub sweep ($root) {
    /-(\d+)\z/ && !-d "/proc/$1" && rmdir for glob "$root/verstak-test-*";
    return;
}

# The group that the process is in now, below $root.
sub group_of ($pid, $root) {
    open my $fh, '<', "/proc/$pid/cgroup" or return undef;
    for (<$fh>) {
        return "$root$1" if $root =~ /blkio/ ? /^\d+:[^:]*\bblkio\b[^:]*:(.*)$/ : /^0::(.*)$/;
    }
    return undef;
}

sub new ($class, $pid, $path, $bytes_per_second) {
    my $disk = disk_of($path);
    ($why = "$path lies on no disk"), return if !defined $disk;
    my $old  = '/sys/fs/cgroup/blkio';
    my $root = -d $old ? $old : '/sys/fs/cgroup';
    sweep($root);
    my $group = "$root/verstak-test-$$";
    ($why = "cannot make $group: $!"), return if !mkdir $group;
    my $self = bless { group => $group, pid => $pid, owner => $$, before => group_of($pid, $root) }, $class;
    my $set  = -d $old
        ? put("$group/blkio.throttle.read_bps_device", "$disk $bytes_per_second\n")
        : put("$group/io.max", "$disk rbps=$bytes_per_second\n");
    $self->{moved} = $set && put("$group/cgroup.procs", "$pid\n");
    return $self if $self->{moved};
    $why = "cannot limit $disk: $!";
    return;
}

sub DESTROY ($self) {
    return if $self->{owner} != $$;
    local ($!, $?, $@);
    put("$self->{before}/cgroup.procs", "$self->{pid}\n") if $self->{moved} && defined $self->{before};
    rmdir $self->{group};
    return;
}

1;
