# Uploads a directory, lists it and downloads it again, by Perl's Net::FTP over TLS.
#
#	perl net-ftp.pl HOST PORT USER PASSWORD CA explicit|implicit LOCAL REMOTE BACK
use strict;
use warnings;
use Net::FTP;

my ($host, $port, $user, $password, $ca, $mode, $local, $remote, $back) = @ARGV;
my %tls = (SSL_ca_file => $ca, SSL_verifycn_name => 'localhost', SSL_hostname => 'localhost');
my $ftp = Net::FTP->new($host, Port => $port, Passive => 1, Timeout => 60, Debug => 1, SSL => $mode eq 'implicit', %tls)
	or die "connect: $@";
sub must { my ($ok, $what) = @_; die "$what: " . $ftp->message unless $ok }
must($ftp->starttls(%tls), 'starttls') if $mode eq 'explicit';
must($ftp->login($user, $password), 'login');
must($ftp->prot('P'), 'prot');
must($ftp->binary, 'binary');
must($ftp->mkdir($remote), 'mkdir');
opendir(my $dir, $local) or die $!;
my @names = sort grep { !/^\.\.?$/ } readdir $dir;
must(defined $ftp->put("$local/$_", "$remote/$_"), "put $_") for @names;
print "NAME $_\n" for map { s{.*/}{}r } $ftp->ls($remote);
must($ftp->get("$remote/$_", "$back/$_"), "get $_") for @names;
$ftp->quit;
