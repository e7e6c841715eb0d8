# The standard app in Ruby. README.md lists its routes.
require 'digest'
require 'etc'
require 'json'

SCRATCH = File.join(File.realpath(__dir__), 'scratch')

# A method of this file is one of the builder that reads it: classes below would not see it.
SIGN = lambda { |name, text = ''|
  temporary = File.join(SCRATCH, "#{name}.new#{Process.pid}")
  File.write(temporary, text.to_s)
  File.rename(temporary, File.join(SCRATCH, name))
}

def wait_at_gate(name)
  SIGN.call("#{name}.arrived", Process.pid)
  6000.times do
    return if File.exist?(File.join(SCRATCH, "#{name}.go"))
    sleep 0.005
  end
  raise "nobody opened the gate #{name}"
end

# A body whose parts are made by a block, and which tells when it is closed.
class Parts
  def initialize(name = nil, &block)
    @name = name
    @block = block
  end

  def each(&sink) = @block.call(sink)

  def close
    SIGN.call("#{@name}.closed") if @name
  end
end

def text(body, headers = {})
  [200, { 'Content-Type' => 'text/plain', 'Content-Length' => body.bytesize.to_s }.merge(headers), [body]]
end

def hash_of(input)
  sha = Digest::SHA256.new
  length = 0
  while (part = input.read(65_536))
    sha << part
    length += part.bytesize
  end
  "#{sha.hexdigest} #{length}"
end

def gated(type, first, second, name)
  [200, { 'Content-Type' => type }, Parts.new do |sink|
    sink.call(first)
    wait_at_gate(name)
    sink.call(second)
  end]
end

def download(megabytes)
  part = 'x' * 65_536
  [200, { 'Content-Type' => 'application/octet-stream', 'Content-Length' => (megabytes << 20).to_s },
   Parts.new { |sink| (megabytes * 16).times { sink.call(part) } }]
end

def endless(name)
  SIGN.call("#{name}.arrived", Process.pid)
  part = 'x' * 65_536
  [200, { 'Content-Type' => 'text/plain' }, Parts.new(name) { |sink| loop { sink.call(part) } }]
end

def environment(env)
  env.select { |_, value| value.is_a?(String) }
     .transform_values { |value| value.b.force_encoding('ISO-8859-1').encode('UTF-8') }
     .reject { |key, _| key.start_with?('rack.') }
end

def first_part(input)
  SIGN.call('first', input.read(5))
  text("then #{hash_of(input).split.last}")
end

run lambda { |env|
  query = env['QUERY_STRING'].split("&").to_h { |pair| pair.partition("=").values_at(0, 2) }
  case env['PATH_INFO']
  when '/' then text("hello from ruby\n")
  when '/pid' then text(Process.pid.to_s)
  when '/uid' then text("#{Process.uid} #{Process.gid} #{ENV['USER']} #{ENV['HOME']}")
  when '/env' then text(JSON.dump(environment(env)))
  when '/environ' then text(ENV.fetch(query['name'], '(unset)'))
  when '/echo' then text(env['rack.input'].read, 'Content-Type' => env['CONTENT_TYPE'] || 'text/plain')
  when '/hash' then text(hash_of(env['rack.input']))
  when '/first' then first_part(env['rack.input'])
  when '/stream' then gated('text/plain', "first\n", "second\n", query['name'])
  when '/sse' then gated('text/event-stream', "data: 1\n\n", "data: 2\n\n", query['name'])
  when '/wait' then wait_at_gate(query['name']); text(Process.pid.to_s)
  when '/download' then download(query['mb'].to_i)
  when '/endless' then endless(query['name'])
  when '/status' then [query['code'].to_i, {}, []]
  when '/cookies' then text('cookies', 'Set-Cookie' => "a=1; Path=/\nb=2; Path=/")
  when '/header' then text('big', 'X-Big' => 'b' * query['bytes'].to_i)
  when '/inject' then text('bad', 'X-Bad' => "a\r\nX-Injected: yes")
  when '/short' then [200, { 'Content-Length' => '100' }, Parts.new { |sink| sink.call('only this') }]
  when '/boom' then raise 'deliberate mistake'
  when '/exit' then exit! 3
  when '/accel' then text('hidden', 'X-Accel-Redirect' => '/internal/secret.txt')
  else [404, { 'Content-Type' => 'text/plain' }, ["no route #{env['PATH_INFO']}"]]
  end
}
