// Uploads a directory, lists it and downloads it again, by Node's basic-ftp over TLS.
//
//	node basic-ftp.js MODULE HOST PORT USER PASSWORD CA explicit|implicit LOCAL REMOTE BACK
const fs = require("node:fs")

const [module_, host, port, user, password, ca, mode, local, remote, back] = process.argv.slice(2)
const { Client } = require(module_)

async function main() {
	const client = new Client(60000)
	client.ftp.verbose = true
	try {
		await client.access({
			host, port: Number(port), user, password,
			secure: mode === "implicit" ? "implicit" : true,
			secureOptions: { ca: fs.readFileSync(ca), host },
		})
		await client.uploadFromDir(local, remote)
		await client.cd("/")
		for (const entry of await client.list(remote)) {
			console.log("NAME " + entry.name)
		}
		await client.downloadToDir(back, remote)
	} finally {
		client.close()
	}
}

main().catch(err => {
	console.error(err)
	process.exit(1)
})
