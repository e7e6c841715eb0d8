# frozen_string_literal: true

# A Rack app. No library is needed beyond rack itself.
run lambda { |env|
  text = "Hello from Ruby #{RUBY_VERSION}, process #{Process.pid}, RACK_ENV=#{ENV.fetch('RACK_ENV', nil)}, " \
         "you asked for #{env['PATH_INFO']}\n"
  [200, { 'content-type' => 'text/plain' }, [text]]
}
